"""What a model says about itself."""

import zipfile

import pytest

import normtest_tf
from normtest_tf import errors
from normtest_tf.runs import metadata
from tests.export.helpers import NAMES, SHAPE, write_run
from tests.helpers import records


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
        "pretraining": records.PRETRAINING,
        "run": {
            "dataset": "digits",
            "model": "cifar_resnet8",
            "weights": "cifar10",
            "train": "all",
            "epochs": 3,
            "seed": 1,
            "precision": "float32",
            "keep": "final",
            "kept_epoch": 3,
            "train_images": 50,
            "test_images": 10,
            "test_accuracy": 0.7,
            "data_fingerprint": "abc",
        },
    }


def test_corrupt_metadata_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    for text, words in (("{", "can't read"), ('{"format": 2}', "not of format 1")):
        path.unlink(missing_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(metadata.FILE_NAME, text)
        with pytest.raises(errors.UsageError, match=words):
            metadata.read(path)
