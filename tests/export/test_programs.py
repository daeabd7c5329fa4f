"""experiments.export and experiments.predict, as a user runs them."""

import zipfile

import keras
import numpy as np
import PIL.Image
import pytest

from normtest_tf.export import prediction
from normtest_tf.normalization import normalization_layer
from tests.export.helpers import (
    NAMES,
    SHAPE,
    STATISTICS,
    build,
    small_model,
    write_run,
)
from tests.helpers.programs import assert_refused, run


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    """Returns the folder of a finished run on the digits."""
    shape, names = (32, 32, 3), list("0123456789")
    model = build(normalization_layer(STATISTICS, shape), shape=shape, classes=10)
    path = tmp_path_factory.mktemp("results") / "seed-223"
    return write_run(path, shape=shape, names=names, model=model)


def test_export_writes_compares_and_does_not_replace(digits_run):
    flags = [f"--run_dir={digits_run}", "--check_images=40", "--probabilities"]
    first = run("export", *flags)
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    assert "on 40 images; 0 of them" in first.stdout
    path = digits_run.path / "export" / "model-probabilities.keras"
    assert str(path) in first.stdout
    written = path.stat().st_mtime_ns
    again = run("export", *flags)
    assert_refused(again, "--overwrite")
    assert path.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--format=timm"], "can't express cifar_resnet8"),
        (["--output=model.h5"], "must end in .keras"),
        (["--output=/proc/x/y.keras"], "can't write"),
        (["--run_dir=."], "no finished run"),
    ],
)
def test_export_refuses_bad_flags(flags, words, digits_run, tmp_path):
    result = run("export", f"--run_dir={digits_run}", *flags, cwd=tmp_path)
    assert_refused(result, words)
    assert list(tmp_path.iterdir()) == []


def test_export_refuses_a_damaged_model(digits_run, tmp_path):
    folder = write_run(tmp_path)
    folder.model.write_bytes(digits_run.model.read_bytes()[:-9])
    assert_refused(run("export", "--run_dir=.", cwd=tmp_path), "not a zip file")
    assert not folder.exports.exists()


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """Returns the folder of a finished run of the small model."""
    return write_run(tmp_path_factory.mktemp("run"), model=small_model())


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Returns a folder of noise: of the model's size, of another, grey, and corrupt."""
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(1)
    height, width, _ = SHAPE
    for name, shape in [
        ("right.png", SHAPE),
        ("large.png", (40, 30, 3)),
        ("grey.png", (height, width)),
    ]:
        pixels = generator.integers(0, 256, shape, dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(folder / name)
    (folder / "broken.png").write_bytes((folder / "right.png").read_bytes()[:300])
    (folder / "text.jpg").write_text("no image")
    (folder / "notes.txt").write_text("no image")
    (folder / "._right.png").write_bytes(b"\0\5\26\7")
    turned = PIL.Image.open(folder / "right.png").transpose(PIL.Image.ROTATE_90)
    exif = PIL.Image.Exif()
    exif[0x112] = 6
    turned.save(folder / "turned.webp", lossless=True, exif=exif)
    return folder


GOOD = ("right.png", "turned.webp", "large.png", "grey.png")
LEFT_OUT = ("notes.txt", "._right.png")
BAD = ("broken.png", "text.jpg", "missing.png", "", "x" * 300)


def test_predict_classifies_what_it_can_and_names_each_other_file(small_run, images):
    files = [str(images / name) for name in (*BAD[:2], *GOOD, *LEFT_OUT, *BAD[2:])]
    result = run("predict", f"--model={small_run}", "--top=2", *files)
    assert result.returncode == 2
    right, turned, large, grey = result.stdout.splitlines()
    pixels = np.asarray(PIL.Image.open(images / "right.png"))[None]
    logits = keras.models.load_model(small_run.model).predict(pixels, verbose=0)
    (row,) = prediction.softmax(logits)
    first, second = np.argsort(-row)[:2]
    classes = [f"{NAMES[i]} {row[i]:.1%}" for i in (first, second)]
    assert right == f"{images / 'right.png'}: {', '.join(classes)}"
    assert turned == right.replace("right.png", "turned.webp")
    assert large.endswith("(resized from 30x40 to 24x16)")
    assert grey.startswith(str(images / "grey.png"))
    assert "resized" not in grey
    note, *lines = result.stderr.splitlines()
    assert note.startswith("note: left out hidden or system files")
    assert note.endswith(", ".join(LEFT_OUT))
    for line, name in zip(lines, BAD, strict=True):
        assert line.startswith("error: ")
        assert str(images / name) in line


def test_predict_refuses_to_classify_nothing(small_run, images):
    result = run("predict", f"--model={small_run.model}", str(images / "notes.txt"))
    assert_refused(result, "nothing to classify")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model=.", "image.png"], "no finished run"),
        (["--model=text.h5", "image.png"], "takes a .keras file"),
        (["--model=text.keras", "image.png"], "can't read text.keras"),
        (["--model=empty.keras", "image.png"], "can't load empty.keras"),
    ],
)
def test_predict_refuses_other_models(flags, words, tmp_path):
    (tmp_path / "text.keras").write_text("no model")
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as archive:
        archive.writestr("other.json", "{}")
    assert_refused(run("predict", *flags, cwd=tmp_path), words)
