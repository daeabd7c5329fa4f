"""What a model says about itself."""

import dataclasses
import zipfile

import pytest

import normtest_tf
from normtest_tf import backbones, errors
from normtest_tf.normalization import IMAGENET, MINMAX
from normtest_tf.runs import metadata
from normtest_tf.system import files
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


def note_on_weights(folder, statistics=IMAGENET, there=(), name="model.keras"):
    """Returns the note on a file of a run that was normalised with `there`."""
    config = records.CONFIG
    if there != ():
        resolved = dataclasses.replace(config.resolved, statistics=there)
        config = dataclasses.replace(config, resolved=resolved)
    described = metadata.describe(config, 3, 0.7)
    if name.endswith(".keras"):
        (folder / name).unlink(missing_ok=True)
        metadata.append_to_archive(folder / name, described)
    else:  # As exports for timm have it.
        files.write_json(folder / metadata.FILE_NAME, described)
    default = backbones.resolve("cifar_resnet8", "none")
    assumed = dataclasses.replace(default.pretraining, statistics=IMAGENET)
    network = dataclasses.replace(default, path=folder / name, pretraining=assumed)
    return metadata.statistics_note(network, statistics)


@pytest.mark.parametrize("name", ["model.keras", "copy.keras", "model.safetensors"])
def test_a_run_that_normalises_otherwise_than_the_former_one_gets_its_flags(
    tmp_path, name
):
    note = note_on_weights(tmp_path, name=name)
    flags = "--pretrain_mean=0.1,0.2,0.3 --pretrain_std=0.4,0.5,0.6"
    assert note.startswith(f"the run that {tmp_path / name} comes from normalised its")
    assert note.endswith(f"pass {flags}")
    there = dataclasses.replace(IMAGENET, mean=(0.49139968, 0.5, 0.25))
    assert "=0.4914,0.5,0.25 " in note_on_weights(tmp_path, there=there, name=name)


def test_there_is_no_such_note_where_it_would_not_apply(tmp_path):
    mean = tuple(value * 1.00001 for value in IMAGENET.mean)  # As flags had them.
    for there in (IMAGENET, dataclasses.replace(IMAGENET, mean=mean, source="f"), None):
        assert note_on_weights(tmp_path, there=there) is None
    for statistics in (None, MINMAX):  # Not those of pre-training.
        assert note_on_weights(tmp_path, statistics) is None
    network = backbones.resolve("cifar_resnet8", "cifar10")
    statistics = network.pretraining.statistics
    assert metadata.statistics_note(network, statistics) is None
    for name in ("model.safetensors", "missing.keras"):
        network = dataclasses.replace(network, path=tmp_path / name)
        assert metadata.statistics_note(network, statistics) is None
