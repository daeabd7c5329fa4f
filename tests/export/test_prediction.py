"""Classifying image files, as a library and as a user runs it."""

import json
import zipfile

import keras
import numpy as np
import PIL.Image
import pytest

from normtest_tf import errors
from normtest_tf.export import metadata as model_metadata
from normtest_tf.export import prediction
from tests.experiments.test_programs import run
from tests.export.test_export import NAMES, build
from tests.export.test_export import SHAPE as MODEL_SHAPE

CONFIG = {
    "requested": {
        "dataset": "digits",
        "model": "cifar_resnet8",
        "normalization": "finetune",
        "seed": 223,
    },
    "resolved": {
        "weights": "cifar10",
        "statistics": None,
        "precision": "float32",
        "image_shape": list(MODEL_SHAPE),
        "class_names": NAMES,
    },
    "data_fingerprint": "0" * 64,
}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    build().save(folder / "model.keras")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "result.json").write_text('{"kept_epoch": 1}')
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Files with noise of the model's size, of another size, and grey."""
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(1)
    height, width, _ = MODEL_SHAPE
    for name, shape in [
        ("right.png", MODEL_SHAPE),
        ("large.png", (40, 30, 3)),
        ("grey.png", (height, width)),
    ]:
        pixels = generator.integers(0, 256, shape, dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(folder / name)
    (folder / "broken.png").write_bytes((folder / "right.png").read_bytes()[:300])
    (folder / "text.jpg").write_text("no image")
    return folder


def test_files_are_classified_by_name(run_dir, images):
    files = [str(images / name) for name in ("right.png", "large.png", "grey.png")]
    result = run("predict", f"--model={run_dir}", "--top=2", *files)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    right, large, grey = result.stdout.splitlines()
    pixels = np.asarray(PIL.Image.open(files[0]))[None]
    logits = keras.models.load_model(run_dir / "model.keras").predict(pixels, verbose=0)
    (row,) = prediction.softmax(logits)
    first, second = np.argsort(-row)[:2]
    classes = [f"{NAMES[i]} {row[i]:.1%}" for i in (first, second)]
    assert right == f"{files[0]}: {', '.join(classes)}"
    assert large.endswith("(resized from 30x40 to 24x16)")
    assert grey.startswith(files[2])
    assert "resized" not in grey


def test_each_bad_file_has_a_line_and_the_others_are_classified(run_dir, images):
    names = ["broken.png", "right.png", "text.jpg", "missing.png", "."]
    files = [str(images / name) for name in names]
    result = run("predict", f"--model={run_dir / 'model.keras'}", *files)
    assert result.returncode == 2
    (line,) = result.stdout.splitlines()
    assert line.startswith(files[1])
    lines = result.stderr.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("error: ") for line in lines)
    bad = ["broken.png", "text.jpg", "missing.png", ""]
    for line, name in zip(lines, bad, strict=True):
        assert str(images / name) in line


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["image.png"], "--model"),
        (["--model=missing.keras", "image.png"], "missing.keras does not exist"),
        (["--model=.", "image.png"], "no finished run"),
        (["--model=text.h5", "image.png"], "takes a .keras file"),
        (["--model=text.keras", "image.png"], "can't read text.keras"),
        (["--model=empty.keras", "image.png"], "can't load empty.keras"),
        (["--model=text.keras"], "name one or more image files"),
        (["--model=text.keras", "--top=0", "image.png"], "top"),
    ],
)
def test_bad_input_is_one_line_and_status_2(flags, words, tmp_path):
    (tmp_path / "text.keras").write_text("no model")
    (tmp_path / "text.h5").write_text("no model")
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as archive:
        archive.writestr("other.json", "{}")
    result = run("predict", *flags, cwd=tmp_path)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert words in line


def save_with_metadata(path, model, **metadata):
    model.save(path)
    values = {"format": model_metadata.FORMAT, "class_names": NAMES, **metadata}
    model_metadata.append_to_archive(path, values)
    return path


def test_an_export_of_probabilities_gets_no_second_softmax(tmp_path):
    path = save_with_metadata(tmp_path / "a.keras", build(), output="probabilities")
    loaded = prediction.load(path)
    pixels = np.zeros((1, *MODEL_SHAPE), "uint8")
    np.testing.assert_array_equal(
        loaded.probabilities(pixels), loaded.model.predict(pixels, verbose=0)
    )
    assert loaded.class_names == NAMES


def test_a_model_without_names_has_numbers(tmp_path):
    build().save(tmp_path / "model.keras")
    assert prediction.load(tmp_path / "model.keras").class_names == list("0123")


def test_models_that_are_no_image_classifiers_are_refused(tmp_path):
    path = save_with_metadata(tmp_path / "f.keras", build(), output="features")
    with pytest.raises(errors.UsageError, match="gives features"):
        prediction.load(path)
    path = save_with_metadata(tmp_path / "n.keras", build(), class_names=["one"])
    with pytest.raises(errors.UsageError, match=r"4 classes apart, but 1 class names"):
        prediction.load(path)
    inputs = keras.Input((7,))
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(tmp_path / "dense.keras")
    with pytest.raises(errors.UsageError, match="no classifier of RGB images"):
        prediction.load(tmp_path / "dense.keras")
