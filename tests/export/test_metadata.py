"""What an export says about itself."""

import dataclasses
import itertools
import json
import zipfile

import numpy as np
import PIL.Image
import pytest

import normtest_tf
from normtest_tf import errors
from normtest_tf.export import metadata
from normtest_tf.runs import RunFolder, finetuning
from tests.export.helpers import NAMES, SHAPE, write_run


def test_a_run_is_described(tmp_path):
    described = metadata.describe_run(write_run(tmp_path), "features")
    assert described == {
        "format": 1,
        "written_by": f"normtest_tf {normtest_tf.__version__}",
        "output": "features",
        "class_names": NAMES,
        "image": {
            "shape": list(SHAPE),
            "dtype": "uint8",
            "channels": "red, green, blue",
            "resize": "squash",
        },
        "normalization": "finetune",
        "statistics": {
            "mean": [0.1, 0.2, 0.3],
            "std": [0.4, 0.5, 0.6],
            "definition": "pooled",
            "source": "a test",
        },
        "run": {
            "dataset": "digits",
            "model": "cifar_resnet8",
            "weights": "cifar10",
            "seed": 1,
            "precision": "float32",
            "kept_epoch": 3,
            "data_fingerprint": "abc",
        },
    }


@pytest.fixture
def folder_run(tmp_path, config):
    """Returns a finished run on somebody's own images."""
    for split, label in itertools.product(("train", "test"), ("cat", "dog")):
        folder = tmp_path / "somebody" / "pets" / split / label
        folder.mkdir(parents=True)
        for number in range(3):
            pixels = np.random.default_rng(number).integers(0, 256, [32, 32, 3])
            image = PIL.Image.fromarray(pixels.astype(np.uint8))
            image.save(folder / f"{number}.png")
    dataset = f"folder:{tmp_path / 'somebody' / 'pets'}"
    config = dataclasses.replace(config, dataset=dataset, epochs=1)
    finetuning.run(config)
    return config.folder


def test_a_run_on_a_folder_is_described_without_its_path(folder_run):
    described = metadata.describe_run(folder_run, "logits")
    assert described["class_names"] == ["cat", "dog"]
    assert described["run"]["dataset"] == "folder-pets"
    assert "somebody" not in json.dumps(described)
    assert "somebody" not in folder_run.config.read_text()


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    folder = write_run(tmp_path)
    folder.result.unlink()
    with pytest.raises(errors.UsageError, match="holds no finished run"):
        metadata.describe_run(folder, "logits")
    with pytest.raises(errors.UsageError, match="missing is not a folder"):
        metadata.describe_run(RunFolder(tmp_path / "missing"), "logits")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "can't read"),
        ("[]", "not of format 1"),
        ('{"format": 2}', "not of format 1"),
    ],
)
def test_corrupt_metadata_is_refused(text, words, tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(metadata.FILE_NAME, text)
    with pytest.raises(errors.UsageError, match=words):
        metadata.read_from_archive(path)
