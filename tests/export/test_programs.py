"""experiments.export and experiments.predict, as a user runs them."""

import json
import zipfile

import keras
import numpy as np
import PIL.Image
import pytest
import scipy.special

from normtest_tf import datasets
from normtest_tf.normalization import MINMAX, normalization_layer
from tests.export.helpers import (
    NAMES,
    SHAPE,
    STATISTICS,
    build,
    outputs,
    small_model,
    write_run,
)
from tests.helpers.programs import assert_refused, run, run_all


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """Returns the folder of a finished run of the small model."""
    return write_run(tmp_path_factory.mktemp("run"), model=small_model())


HALVES = (
    *("--pretrain_mean=0.5,0.5,0.5", "--pretrain_std=0.5,0.5,0.5"),
    "--normalization=minmax",
)


def test_export_writes_and_compares(small_run):
    flags = [f"--run_dir={small_run}", "--check_images=40", "--probabilities"]
    done = run("export", *flags)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "on 40 images; 0 of them" in done.stdout
    path = small_run.path / "export" / "model-probabilities.keras"
    assert str(path) in done.stdout
    assert path.exists()


def test_evaluate_normalises_as_asked_and_writes_its_files(tmp_path):
    shape = (16, 16, 3)
    trained = build(normalization_layer(STATISTICS, shape), shape=shape, classes=10)
    folder = write_run(tmp_path, shape=shape, names="0123456789", model=trained)
    out = tmp_path / "evaluation"
    flags = ("--dataset=digits", "--test_examples=60", "--normalization=minmax")
    done = run("evaluate", f"--model={folder}", f"--out_dir={out}", *flags)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    digits = datasets.load("digits", datasets.ReadingOptions(image_size=16))
    other = build(normalization_layer(MINMAX, shape), shape=shape, classes=10)
    right = outputs(other, digits.test_images[:60]).argmax(1) == digits.test_labels[:60]
    values = json.loads((out / "evaluation.json").read_text("utf-8"))
    assert (values["accuracy"], values["images"]) == (np.mean(right), 60)
    assert values["normalization"] == "minmax"
    files = {"evaluation.json", "confusion.csv", "confusion.png"}
    assert {path.name for path in out.iterdir()} == files
    assert all(str(out / name) in done.stdout for name in files)
    flags = ("--dataset=digits", "--normalization=finetune", "--split=all")
    done = run("evaluate", f"--model={folder}", f"--out_dir={out}", *flags)
    assert "note: the model was trained on images of digits" in done.stdout
    assert "finetune: mean 0.1,0.2,0.3, std 0.4,0.5,0.6; a test" in done.stdout


def test_what_can_not_be_exported_or_predicted_with_is_refused(small_run, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "text.keras").write_text("no model")
    damaged = write_run(tmp_path / "damaged")
    damaged.model.write_bytes(small_run.model.read_bytes()[:-9])
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as archive:
        archive.writestr("other.json", "{}")
    export = ["export", f"--run_dir={small_run}"]
    evaluate = ["evaluate", f"--model={small_run}", "--dataset=digits"]
    before = set(tmp_path.rglob("*"))
    commands = {
        "can't express cifar_resnet8": [*export, "--format=timm"],
        "can't write": [*export, "--output=/proc/x/y.keras"],
        "finished run. Pass the folder": ["export", "--run_dir=."],
        "damaged/model.keras: File is not a zip file": ["export", "--run_dir=damaged"],
        "nothing to classify": ["predict", f"--model={small_run}", "notes.txt"],
        "holds no finished run": ["predict", "--model=.", "image.png"],
        "can't read text.keras": ["predict", "--model=text.keras", "image.png"],
        "empty.keras does not say": ["predict", "--model=empty.keras", "image.png"],
        "changes the network": [*evaluate, "--normalization=finetune_folded"],
        "are of --normalization=pretrain": [*evaluate, *HALVES],
    }
    found = run_all(list(commands.values()), cwd=tmp_path)
    for done, words in zip(found, commands, strict=True):
        assert_refused(done, words)
    assert set(tmp_path.rglob("*")) == before


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
    (row,) = scipy.special.softmax(logits, axis=1)
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
