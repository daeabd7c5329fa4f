"""Formats: the packages they need, and where they may be written."""

import dataclasses
import pathlib

import pytest

from normtest_tf import errors
from normtest_tf.export import FORMATS, runtimes, verification, writers
from normtest_tf.export.formats import OUTPUTS
from normtest_tf.runs import RunFolder


def test_every_format_has_a_writer_and_a_loader():
    assert FORMATS.keys() == writers.WRITERS.keys() == runtimes.LOADERS.keys()
    optional = {name for name, entry in FORMATS.items() if entry.runtime}
    assert verification.READERS.keys() == optional


def test_a_missing_runtime_is_named_with_the_pip_command():
    entry = dataclasses.replace(FORMATS["onnx"], modules={"some-onnx": "no_such"})
    with pytest.raises(errors.UsageError, match="pip install some-onnx"):
        entry.check_installed()


@pytest.mark.parametrize("output", OUTPUTS)
def test_default_paths_all_differ(output):
    folder = RunFolder(pathlib.Path("run"))
    paths = [entry.default_path(folder, output) for entry in FORMATS.values()]
    assert len(set(paths)) == len(FORMATS)
    for entry, path in zip(FORMATS.values(), paths, strict=True):
        assert path.parent == pathlib.Path("run/export")
        entry.check_path(path, overwrite=False)
        assert (output in path.name) == (output != "logits")


def test_a_file_is_replaced_only_when_asked_to(tmp_path):
    path = tmp_path / "model.onnx"
    path.touch()
    FORMATS["onnx"].check_path(path, overwrite=True)
    with pytest.raises(errors.UsageError, match="--overwrite"):
        FORMATS["onnx"].check_path(path, overwrite=False)
    path.unlink()
    path.mkdir()
    with pytest.raises(errors.UsageError, match="not an export with --format=onnx"):
        FORMATS["onnx"].check_path(path, overwrite=True)


def test_the_model_of_a_run_is_never_replaced(tmp_path):
    path = tmp_path / "model.keras"
    path.touch()
    FORMATS["keras"].check_path(path, overwrite=True)
    (tmp_path / "config.json").touch()
    with pytest.raises(errors.UsageError, match="is the model of a run"):
        FORMATS["keras"].check_path(path, overwrite=True)


@pytest.mark.parametrize("name", ["saved_model", "timm"])
def test_only_folders_that_hold_an_export_are_replaced(name, tmp_path):
    entry = FORMATS[name]
    for other in ("holidays.jpg", "config.json", "model.safetensors", "model.keras"):
        (tmp_path / other).touch()
    with pytest.raises(errors.UsageError, match=f"not an export with --format={name}"):
        entry.check_path(tmp_path, overwrite=True)
    (tmp_path / entry.marker).touch()
    entry.check_path(tmp_path, overwrite=True)
    with pytest.raises(errors.UsageError, match="--overwrite"):
        entry.check_path(tmp_path, overwrite=False)
