"""Every kind of model in every format, loaded as docs/export.md says."""

import json

import numpy as np
import pytest

from normtest_tf.backbones.registry import CAFFE
from normtest_tf.export import FORMATS, verification, writers
from normtest_tf.normalization import IMAGENET, MINMAX, SETTINGS, normalization_layer
from normtest_tf.runs import metadata
from tests.export.helpers import (
    IMAGES,
    INSTALLED,
    NAMES,
    SHAPE,
    STATISTICS,
    assert_close,
    build,
    description,
    outputs,
)
from tests.helpers import ROOT, programs

FEATURES, MIXED = "features", "mixed_bfloat16"
DOCUMENTED = ["keras", "saved_model", "onnx", "litert"]  # As the page shows them.
# The code of the docs in a process that can't import this package, in each folder.
PROGRAM = """
import json, os, pathlib, re, sys
sys.modules["normtest_tf"] = None  # Importing it raises ImportError.
import numpy as np
import tensorflow as tf

pixels = np.load("images.npy")
page = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
section = page.partition("\\n## Loading\\n")[2].partition("\\n## ")[0]
codes = re.findall("^```python\\n(.*?)^```$", section, re.M | re.S)
formats = dict(zip(ALL, codes, strict=True))
for folder in sys.argv[3:]:
    os.chdir(folder)
    for name in sys.argv[2].split(","):
        parts = []
        for images in (pixels[:1], pixels[1:]):  # The number of images is free.
            names = {"images": images}
            exec(formats[name], names)
            parts.append(names["logits"].copy())
        np.save(name + ".npy", np.concatenate(parts))
        assert name == "saved_model" or names["names"] == json.loads(NAMES)

# A SavedModel takes integers and refuses floats, which a signature would cast.
model = tf.saved_model.load("saved_model")
signature = model.signatures["serving_default"]
assert signature.structured_input_signature[1]["image"].dtype == tf.uint8
scaled = pixels / 255
floats = [pixels.astype(kind) for kind in ("float16", "float32", "float64")]
floats += [scaled, scaled.tolist(), tf.constant(scaled), pixels[:, 1:]]
for call in [model.serve, lambda images: signature(image=images)["output_0"]]:
    same = [pixels, pixels.tolist(), tf.constant(pixels), pixels.astype("int64")]
    outputs = [call(given).numpy() for given in same]
    assert all(np.array_equal(outputs[0], other) for other in outputs), call
    for given in floats if call == model.serve else floats[4:6]:
        try:
            call(given)
        except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
            assert "uint8" in str(error), error
        else:
            raise AssertionError((call, getattr(given, "dtype", list)))
"""


def of_constants(order="bgr", precision="float32"):
    return build(normalization_layer(CAFFE, SHAPE, order), precision)


@pytest.fixture(scope="module")
def models():
    """Returns a classifier of constants, and one of each image's own."""
    instance = SETTINGS["instance"].layer(None, SHAPE)
    return {"constants": of_constants(), FEATURES: build(instance)}


@pytest.fixture(scope="module")
def written(models, tmp_path_factory):
    """Returns a folder with the exports of each model; one is of mixed precision."""
    folder = tmp_path_factory.mktemp("exports")
    mixed = of_constants(precision=MIXED)
    for kind, model in models.items():
        output = FEATURES if kind == FEATURES else "logits"
        (folder / kind).mkdir()
        for name in INSTALLED:
            suffix = FORMATS[name].suffix
            path = folder / kind / (f"model{suffix}" if suffix else name)
            # Keras's own is compared in test_programs.py.
            if kind == "constants" and name != "keras":
                compared_on = verification.random_images(SHAPE, 33)  # In two batches.
                described = description(output, MIXED)
                deviation = verification.export(
                    mixed, path, name, described, compared_on
                )
                assert deviation.images == 33
                assert deviation.relative <= 1e-5
            else:
                exported = writers.build(model, output)
                writers.write(exported, path, name, description(output))
    return folder


def test_exports_compute_the_same_elsewhere(written, models):
    np.save(written / "images.npy", IMAGES)
    folders = [str(written / kind) for kind in models]
    program = f"NAMES, ALL = {json.dumps(NAMES)!r}, {DOCUMENTED}\n{PROGRAM}"
    page = ROOT / "docs" / "export.md"
    programs.run_code(program, page, ",".join(INSTALLED), *folders, cwd=written)
    targets = {kind: outputs(model) for kind, model in models.items()}
    head = models[FEATURES].get_layer("head")
    for name in INSTALLED:
        for kind, target in targets.items():
            received = np.load(written / kind / f"{name}.npy")
            if kind == FEATURES:  # What the head takes.
                received = received @ np.array(head.kernel) + np.array(head.bias)
            assert_close(received, target)
    # The order of channels matters by far more than what the comparison allows.
    assert abs(targets["constants"] - outputs(of_constants("rgb"))).max() > 0.01


def test_the_metadata_is_in_the_export(written):
    expected = description(FEATURES)
    folder = written / FEATURES
    for path in (folder / "model.keras", folder / "model.tflite"):
        if path.exists():
            assert metadata.read(path) == expected
    file = folder / "saved_model" / "assets.extra" / "normtest_tf.json"
    assert json.loads(file.read_text("utf-8")) == expected


def test_an_onnx_graph_has_metadata_and_one_input_and_output_of_any_length(written):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("tf2onnx")
    model = onnx.load(written / FEATURES / "model.onnx")
    (image,), (output,) = model.graph.input, model.graph.output
    assert (image.name, output.name) == ("image", FEATURES)
    for tensor in (image, output):
        assert tensor.type.tensor_type.shape.dim[0].dim_param == "batch"
    stored = {entry.key: entry.value for entry in model.metadata_props}
    assert stored.pop("output") == FEATURES  # Strings are stored as they are.
    read = {key: json.loads(value) for key, value in stored.items()}
    assert read | {"output": FEATURES} == description(FEATURES)


def test_a_rescaling_computes_what_a_normalization_does_for_every_pixel_value():
    values = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 16, 16, 3)
    for statistics in (STATISTICS, IMAGENET, MINMAX, CAFFE):
        layer = normalization_layer(statistics, (16, 16, 3))
        expected = np.array(layer(values))
        received = np.array(writers.as_rescaling(layer)(values))
        limit = 2 * np.spacing(abs(expected).max())
        np.testing.assert_allclose(received, expected, rtol=0, atol=limit)
