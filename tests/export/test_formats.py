"""Formats: the packages they need, and where they may be written."""

import dataclasses
import pathlib

import pytest

from normtest_tf import errors
from normtest_tf.export import FORMATS, runtimes, writers
from normtest_tf.runs import RunFolder


def test_every_format_has_a_writer_a_loader_and_its_own_paths():
    assert FORMATS.keys() == writers.WRITERS.keys() == runtimes.LOADERS.keys()
    folder = RunFolder(pathlib.Path("run"))
    outputs = ("logits", "probabilities", "features")
    paths = {f.default_path(folder, out) for f in FORMATS.values() for out in outputs}
    assert len(paths) == 3 * len(FORMATS)


def test_a_missing_package_is_named_with_the_pip_command():
    entry = dataclasses.replace(FORMATS["onnx"], packages=("no-such", "numpy"))
    with pytest.raises(errors.UsageError, match="needs no-such: pip install no-such"):
        entry.check_installed()


@pytest.mark.parametrize(
    ("name", "files", "output", "words"),
    [
        ("onnx", ["model.onnx"], "model.onnx", "pass --overwrite"),
        ("onnx", ["model.onnx/x"], "model.onnx", "not an export with --format=onnx"),
        ("keras", [], "model.h5", "does not end in .keras"),
        ("keras", ["model.keras", "config.json"], "model.keras", "model of a run"),
        ("timm", ["x/normtest_tf.json"], "x", "pass --overwrite"),
        ("timm", ["x/config.json", "x/model.safetensors"], "x", "not an export with"),
    ],
)
def test_only_an_export_is_replaced_and_only_on_demand(
    tmp_path, name, files, output, words
):
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    entry, path = FORMATS[name], tmp_path / output
    with pytest.raises(errors.UsageError, match=words):
        entry.check_path(path, overwrite=words != "pass --overwrite")
    if words == "pass --overwrite":
        entry.check_path(path, overwrite=True)
