"""Every setting in every format, run by a process that can't import this package."""

import json
import zipfile

import keras
import numpy as np
import pytest

from normtest_tf.backbones.architecture import CAFFE
from normtest_tf.export import ExportError, metadata, writers
from normtest_tf.normalization import (
    CONTROL_AGAIN,
    IMAGENET,
    MINMAX,
    SETTINGS,
    normalization_layer,
)
from tests.export.helpers import (
    FORMAT_NAMES,
    IMAGES,
    NAMES,
    SHAPE,
    STATISTICS,
    assert_close,
    build,
    description,
    export_path,
    outputs,
    small_model,
)
from tests.helpers import programs

# Channels that differ, so that a wrong order shows in `finetune`.
TRAINING_IMAGES = (IMAGES * [0.3, 0.6, 1.0]).astype("uint8")
FEATURES = "features"
BGR = "bgr"

# Written apart from `runtimes`, which exports are verified with.
RUNTIMES = {
    "keras": """
import keras
def load(path):
    model = keras.models.load_model(path)
    return lambda images: model.predict(images, verbose=0)
""",
    "saved_model": """
import tensorflow as tf
def load(path):
    signature = tf.saved_model.load(path).signatures["serving_default"]
    return lambda images: next(iter(signature(image=images).values())).numpy()
""",
    "onnx": """
import onnxruntime
def load(path):
    session = onnxruntime.InferenceSession(path)
    (image,), (output,) = session.get_inputs(), session.get_outputs()
    return lambda images: session.run([output.name], {image.name: images})[0]
""",
    "litert": """
from ai_edge_litert.interpreter import Interpreter
def load(path):
    interpreter = Interpreter(path)
    (image,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    def run(images):
        interpreter.resize_tensor_input(image["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(image["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(out["index"]).copy()
    return run
""",
}
PROGRAM = """
import sys
sys.modules["normtest_tf"] = None  # Importing it raises ImportError.
import numpy as np
{runtime}
images = np.load("images.npy")
for path in sys.argv[1:]:
    run = load(path)
    # One image, then all others: the number of images is free.
    np.save(path + ".npy", np.concatenate([run(images[:1]), run(images[1:])]))
"""


def run_elsewhere(format_name, paths, folder):
    """Returns the outputs of each export, from a process without this package."""
    np.save(folder / "images.npy", IMAGES)
    program = PROGRAM.format(runtime=RUNTIMES[format_name])
    programs.run_code(program, *paths, cwd=folder)
    return [np.load(f"{path}.npy") for path in paths]


@pytest.fixture(scope="module")
def models():
    """Returns a classifier for each setting, and for each channel order."""
    layers = {
        name: setting.layer(setting.statistics(TRAINING_IMAGES, IMAGENET), SHAPE)
        for name, setting in SETTINGS.items()
        # These have the layer of another one, or nearly so.
        if name not in (CONTROL_AGAIN, "finetune_folded")
    }
    layers[BGR] = normalization_layer(CAFFE, SHAPE, "bgr")
    return {name: build(layer) for name, layer in layers.items()}


@pytest.fixture(scope="module", params=FORMAT_NAMES)
def written(request, models, tmp_path_factory):
    """Returns a format, and the paths of all exports in it."""
    folder = tmp_path_factory.mktemp(request.param)
    paths = {}
    for name, model in [*models.items(), (FEATURES, small_model())]:
        output = FEATURES if name == FEATURES else "logits"
        paths[name] = export_path(folder, name, request.param)
        exported = writers.build(model, output)
        writers.write(exported, paths[name], request.param, description(output))
    return request.param, paths


def test_every_setting_agrees_on_pixels_alone(written, models, tmp_path):
    format_name, paths = written
    received = run_elsewhere(format_name, paths.values(), tmp_path)
    received = dict(zip(paths, received, strict=True))
    targets = {name: outputs(model) for name, model in models.items()}
    for name, target in targets.items():
        assert_close(received[name], target)
    # The settings differ by far more than what the comparison allows.
    first, *others = targets.values()
    for other in others:
        assert abs(other - first).max() > 1e-3 * abs(first).max()
    # Features are what the head takes.
    head = small_model().get_layer("head")
    logits = received[FEATURES] @ np.array(head.kernel) + np.array(head.bias)
    assert_close(logits, outputs(small_model()))


FLOATS = """
import sys
sys.modules["normtest_tf"] = None
import numpy as np
import tensorflow as tf
images = np.load("images.npy")
model = tf.saved_model.load(sys.argv[1])
signature = model.signatures["serving_default"]
calls = [model.serve] + [
    lambda images, name=name: model.signatures[name](image=images)["output_0"]
    for name in ("serving_default", "serve")
]
assert list(signature.structured_input_signature[1]) == ["image"]
assert signature.structured_input_signature[1]["image"].dtype == tf.uint8
for call in calls:
    same = [images, images.tolist(), tf.constant(images), images.astype("int64")]
    outputs = [call(given).numpy() for given in same]
    assert all(np.array_equal(outputs[0], other) for other in outputs), call
    scaled = images / 255
    tensors = [tf.constant(scaled, dtype) for dtype in ("float16", "float32")]
    for given in [*tensors, scaled.tolist()]:
        refused(call, given)
for dtype in ("float16", "float32", "float64"):
    # A signature would cast these before the graph sees them.
    refused(model.serve, scaled.astype(dtype))
    refused(model.serve, images.astype(dtype))
refused(model.serve, images[:, 1:])
"""
REFUSED = """
def refused(call, given):
    try:
        call(given)
    except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        assert "uint8" in str(error), error
    else:
        raise AssertionError((call, getattr(given, "dtype", list)))
"""


def test_a_saved_model_takes_integers_and_refuses_floats(tmp_path):
    path = tmp_path / "model"
    exported = writers.build(small_model(), "logits")
    writers.write(exported, path, "saved_model", description())
    np.save(tmp_path / "images.npy", IMAGES)
    programs.run_code(REFUSED + FLOATS, path, cwd=tmp_path)


def test_the_metadata_is_in_the_export_and_readable_without_this_package(written):
    format_name, paths = written
    for path, output in [(paths["finetune"], "logits"), (paths[FEATURES], FEATURES)]:
        assert READERS[format_name](path) == description(output)


def read_archive(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return json.loads(archive.read("normtest_tf.json"))


def read_saved_model(path):
    return json.loads((path / "assets.extra/normtest_tf.json").read_text("utf-8"))


def read_onnx(path):
    import onnx

    stored = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    return {
        # Strings are stored as they are.
        key: value if key == "output" else json.loads(value)
        for key, value in stored.items()
    }


READERS = {
    "keras": read_archive,
    "saved_model": read_saved_model,
    "onnx": read_onnx,
    "litert": read_archive,
}


def test_the_metadata_of_a_file_is_read_back(tmp_path):
    path = tmp_path / "model.keras"
    writers.write(small_model(), path, "keras", description())
    assert metadata.read_from_archive(path)["class_names"] == NAMES


def test_an_onnx_graph_has_one_named_input_and_output_of_any_length(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("tf2onnx")
    path = tmp_path / "model.onnx"
    exported = writers.build(small_model(), "probabilities")
    writers.write(exported, path, "onnx", description("probabilities"))
    graph = onnx.load(path).graph
    (image,), (output,) = graph.input, graph.output
    assert (image.name, output.name) == ("image", "probabilities")
    for tensor in (image, output):
        assert tensor.type.tensor_type.shape.dim[0].dim_param == "batch"


def test_a_rescaling_computes_what_a_normalization_does_for_every_pixel_value():
    values = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 16, 16, 3)
    for statistics in (STATISTICS, IMAGENET, MINMAX, CAFFE):
        layer = normalization_layer(statistics, (16, 16, 3))
        expected = np.array(layer(values))
        received = np.array(writers.as_rescaling(layer)(values))
        limit = 2 * np.spacing(abs(expected).max())
        np.testing.assert_allclose(received, expected, rtol=0, atol=limit)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_a_model_of_mixed_precision_is_exported_in_float32(precision):
    mixed = small_model(precision)
    assert {layer.compute_dtype for layer in all_layers(mixed)} > {"float32"}
    exported = writers.build(mixed, "logits")
    for layer in all_layers(exported):
        assert layer.dtype_policy.name == "float32", layer.name
    assert_close(outputs(exported), outputs(small_model()))


def all_layers(model):
    """Returns the layers of a model and of the models in it."""
    nested = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    return [*model.layers, *(inner for model in nested for inner in all_layers(model))]


def test_what_tensorflow_can_not_write_is_reported_in_one_line(tmp_path):
    words = r"^the svg export can't be written by TensorFlow \(exit status 1\): .*'svg'"
    with pytest.raises(ExportError, match=words):
        writers.write_by_tensorflow(small_model(), tmp_path / "export", "svg", {})
    assert not list(tmp_path.iterdir())
