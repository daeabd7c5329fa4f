"""Exports, each run by its own runtime in a process that lacks this package."""

import dataclasses
import itertools
import json
import pathlib
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image

from normtest_tf import backbones, errors, runs
from normtest_tf.backbones.registry import CAFFE
from normtest_tf.export import formats, prediction, verification
from normtest_tf.export import metadata as model_metadata
from normtest_tf.normalization import IMAGENET, MINMAX, ChannelStatistics
from normtest_tf.runs import finetuning
from normtest_tf.training import classifier

SHAPE = (16, 24, 3)  # Not square, so that swapped sides show.
IMAGES = np.random.default_rng(0).integers(0, 256, (5, *SHAPE), dtype=np.uint8)
# Channels that differ, so that a wrong order shows.
FINETUNE = ChannelStatistics((0.2, 0.5, 0.8), (0.1, 0.2, 0.3), "pooled", "a test")
SETTINGS = {
    "finetune": (FINETUNE, "rgb"),
    "pretrain": (IMAGENET, "rgb"),
    "bgr": (CAFFE, "bgr"),
    "instance": (None, "rgb"),
    "minmax": (MINMAX, "rgb"),
}
NAMES = ["apple", "bee", "cat", "dög"]

# Written apart from `reloading`, which the programs use.
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
    (image,) = session.get_inputs()
    return lambda images: session.run(["logits"], {image.name: images})[0]
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
for path in {paths}:
    run = load(path)
    # One image, then all others: the number of images is free.
    np.save(path + ".npy", np.concatenate([run(images[:1]), run(images[1:])]))
"""

FORMATS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            bool(entry.missing()),
            reason=f"needs {', '.join(entry.missing())} to write or run it",
        ),
    )
    for name, entry in formats.FORMATS.items()
]


def build(statistics=FINETUNE, channel_order="rgb", **options):
    source = backbones.resolve("cifar_resnet8", "cifar10")
    pretraining = dataclasses.replace(source.pretraining, channel_order=channel_order)
    return classifier.build_classifier(
        dataclasses.replace(source, pretraining=pretraining),
        statistics,
        image_shape=SHAPE,
        num_classes=len(NAMES),
        seed=5,
        **options,
    )[0]


def metadata(output="logits", precision="float32"):
    return {
        "format": model_metadata.FORMAT,
        "output": output,
        "class_names": NAMES,
        "statistics": {"mean": [0.1, 0.2, 0.3]},
        "run": {"precision": precision},
    }


def suffixed(folder, stem, format_name):
    return folder / (stem + formats.FORMATS[format_name].suffix)


def run_elsewhere(format_name, paths, images, folder):
    """Returns the outputs of each export, by a process without this package."""
    np.save(folder / "images.npy", images)
    program = PROGRAM.format(
        runtime=RUNTIMES[format_name], paths=[str(path) for path in paths]
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=folder)
    return [np.load(f"{path}.npy") for path in paths]


def assert_equal(received, target):
    assert received.dtype == np.float32
    # Outputs that don't depend on the image would agree with anything.
    assert np.ptp(target, axis=0).max() > 0.05 * abs(target).max()
    limit = 1e-5 * abs(target).max()
    np.testing.assert_allclose(received, target, rtol=0, atol=limit)


@pytest.mark.parametrize("format_name", FORMATS)
def test_every_setting_agrees_on_pixels_alone(format_name, tmp_path):
    models = {name: build(*values) for name, values in SETTINGS.items()}
    paths = [suffixed(tmp_path, name, format_name) for name in models]
    for model, path in zip(models.values(), paths, strict=True):
        exported = verification.build(model, "logits")
        verification.write(exported, path, format_name, metadata())
    outputs = run_elsewhere(format_name, paths, IMAGES, tmp_path)
    targets = [model.predict(IMAGES, verbose=0) for model in models.values()]
    for received, target in zip(outputs, targets, strict=True):
        assert_equal(received, target)
    # The settings differ by far more than what the comparison allows.
    for other in targets[1:]:
        assert abs(other - targets[0]).max() > 1e-2 * abs(targets[0]).max()


def test_the_constants_of_an_onnx_graph_are_exact_for_every_pixel_value():
    values = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 16, 16, 3)
    for statistics in (FINETUNE, IMAGENET, MINMAX, CAFFE):
        layer = classifier.normalization_layer(statistics, (16, 16, 3))
        stand_in = verification._constants_as_attributes(layer)
        expected = np.array(layer(values))
        received = np.array(stand_in(values))
        limit = 2 * np.spacing(abs(expected).max())
        np.testing.assert_allclose(received, expected, rtol=0, atol=limit)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_a_model_of_mixed_precision_is_exported_in_float32(precision, tmp_path):
    mixed, full = build(precision=precision), build()
    exported = verification.build(mixed, "logits")
    for layer in exported._flatten_layers():
        assert layer.dtype_policy.name == "float32", layer.name
    assert_equal(exported.predict(IMAGES, verbose=0), full.predict(IMAGES, verbose=0))
    target = verification.expected(mixed, "logits", precision, IMAGES)
    assert_equal(target.astype("float32"), full.predict(IMAGES, verbose=0))


@pytest.mark.parametrize("format_name", FORMATS)
def test_mixed_precision_and_probabilities_through_the_whole_export(
    format_name, tmp_path
):
    mixed = build(precision="mixed_bfloat16")
    path = suffixed(tmp_path, "mine", format_name)
    info = metadata("probabilities", "mixed_bfloat16")
    comparison = verification.export(mixed, path, format_name, info, IMAGES)
    assert comparison.images == len(IMAGES)
    assert comparison.relative <= 1e-5
    received = verification.reload(format_name, path, IMAGES)
    np.testing.assert_allclose(received.sum(axis=1), 1, rtol=1e-6)
    full = build().predict(IMAGES, verbose=0)
    assert_equal(received, prediction.softmax(full))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("format_name", FORMATS)
def test_features_are_what_the_head_takes(format_name, tmp_path):
    model = build()
    path = suffixed(tmp_path, "features", format_name)
    exported = verification.build(model, "features")
    verification.write(exported, path, format_name, metadata("features"))
    features = verification.reload(format_name, path, IMAGES)
    head = model.get_layer("head")
    assert features.shape == (len(IMAGES), head.kernel.shape[0])
    logits = features @ np.array(head.kernel) + np.array(head.bias)
    assert_equal(logits, model.predict(IMAGES, verbose=0))


@pytest.mark.parametrize("format_name", FORMATS)
def test_metadata_are_in_the_export_and_readable_without_this_package(
    format_name, tmp_path
):
    path = suffixed(tmp_path, "model", format_name)
    info = metadata()
    verification.write(verification.build(build(), "logits"), path, format_name, info)
    if format_name == "saved_model":
        stored = json.loads((path / "assets.extra/normtest_tf.json").read_text("utf-8"))
    elif format_name == "onnx":
        import onnx

        model = onnx.load(str(path))
        stored = {entry.key: entry.value for entry in model.metadata_props}
        assert json.loads(stored["class_names"]) == NAMES
        assert stored["output"] == "logits"
        stored = {
            key: value if isinstance(info[key], str) else json.loads(value)
            for key, value in stored.items()
        }
        assert [entry.name for entry in model.graph.input] == ["image"]
        assert [entry.name for entry in model.graph.output] == ["logits"]
    else:
        with zipfile.ZipFile(path) as archive:
            stored = json.loads(archive.read("normtest_tf.json"))
            assert archive.testzip() is None
    assert stored == info


def test_an_export_that_differs_is_not_kept(tmp_path, monkeypatch):
    path = tmp_path / "model.keras"
    path.write_text("an earlier export")

    def wrong(model, output):
        changed = keras.models.clone_model(model)
        changed.set_weights([weight * 1.001 for weight in model.get_weights()])
        return changed

    monkeypatch.setattr(verification, "build", wrong)
    with pytest.raises(verification.ExportError, match="does not compute what"):
        verification.export(build(), path, "keras", metadata(), IMAGES)
    assert path.read_text() == "an earlier export"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("received", "words"),
    [
        (np.zeros([2, 3], "float64"), "float64"),
        (np.zeros([2, 4], "float32"), r"\(2, 4\)"),
    ],
)
def test_outputs_of_another_kind_are_refused(received, words):
    with pytest.raises(verification.ExportError, match=words):
        verification.compare(received, np.ones([2, 3]))


def test_nan_is_not_equal():
    received = np.full([2, 3], np.nan, "float32")
    assert not verification.compare(received, np.ones([2, 3])).is_equal


def test_an_export_that_does_not_run_says_why(tmp_path):
    (tmp_path / "model.keras").write_text("nothing")
    with pytest.raises(verification.ExportError, match=r"does not run .*model\.keras"):
        verification.reload("keras", tmp_path / "model.keras", IMAGES)


def test_a_missing_runtime_is_named_with_the_pip_command():
    entry = dataclasses.replace(
        formats.FORMATS["onnx"], modules={"some-onnx": "no_such_module"}
    )
    with pytest.raises(errors.UsageError, match="pip install some-onnx"):
        entry.check_installed()


@pytest.mark.parametrize("output", ["logits", "probabilities", "features"])
def test_default_paths_all_differ(output):
    run_dir = pathlib.Path("run")
    paths = [entry.default_path(run_dir, output) for entry in formats.FORMATS.values()]
    assert len(set(paths)) == 4
    for entry, path in zip(formats.FORMATS.values(), paths, strict=True):
        assert path.parent == run_dir / "export"
        entry.check_path(path, overwrite=False)
        assert ("features" in path.name) == (output == "features")


def test_a_folder_that_is_no_saved_model_is_never_replaced(tmp_path):
    entry = formats.FORMATS["saved_model"]
    (tmp_path / "holidays.jpg").touch()
    with pytest.raises(errors.UsageError, match="no saved_model export"):
        entry.check_path(tmp_path, overwrite=True)
    (tmp_path / "saved_model.pb").touch()
    entry.check_path(tmp_path, overwrite=True)
    with pytest.raises(errors.UsageError, match="--overwrite"):
        entry.check_path(tmp_path, overwrite=False)


@pytest.fixture
def folder_run(tmp_path, config):
    """A finished run on somebody's own images."""
    for split, label in itertools.product(("train", "test"), ("cat", "dog")):
        folder = tmp_path / "somebody" / "pets" / split / label
        folder.mkdir(parents=True)
        for number in range(3):
            pixels = np.random.default_rng(number).integers(0, 256, [32, 32, 3])
            image = Image.fromarray(pixels.astype(np.uint8))
            image.save(folder / f"{number}.png")
    dataset = f"folder:{tmp_path / 'somebody' / 'pets'}"
    config = dataclasses.replace(config, dataset=dataset, epochs=1)
    finetuning.run(config)
    return config.folder


def test_metadata_of_a_run_on_a_folder_hold_no_path(folder_run):
    described = model_metadata.describe_run(folder_run, "logits")
    assert described["class_names"] == ["cat", "dog"]
    assert described["run"]["dataset"] == "folder-pets"
    assert "somebody" not in json.dumps(described)
    assert "somebody" not in (folder_run / "config.json").read_text()


def test_a_run_s_folder_of_images_is_named_again_to_compare_on_it():
    assert verification.comparison_dataset("cifar10", None) == "cifar10"
    given = "folder:/home/somebody/pets/"
    assert verification.comparison_dataset("folder-pets", given) == given
    with pytest.raises(errors.UsageError, match="needs --dataset=folder:PATH"):
        verification.comparison_dataset("folder-pets", None)
    with pytest.raises(errors.UsageError, match="not the run's data set"):
        verification.comparison_dataset("folder-pets", "cifar10")


def test_records_that_lack_something(folder_run):
    config = runs.read_json(folder_run / "config.json")
    del config["resolved"]["class_names"]
    (folder_run / "config.json").write_text(json.dumps(config))
    with pytest.raises(errors.UsageError, match="lacks 'class_names'"):
        model_metadata.describe_run(folder_run, "logits")
    (folder_run / "result.json").unlink()
    with pytest.raises(errors.UsageError, match="no finished run"):
        model_metadata.describe_run(folder_run, "logits")
