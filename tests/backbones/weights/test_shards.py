"""Weights in several files, and their index."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from normtest_tf import errors
from normtest_tf.backbones.weights import shards
from tests.backbones.weights.helpers import load, refused, same_weights, small

FIRST, SECOND = (f"model-0000{i}-of-00002.safetensors" for i in (1, 2))


@pytest.fixture
def parts(path):
    """Returns the tensors of two shards, in whose folder the index will be."""
    tensors = load_file(path)
    names = sorted(tensors)
    path.unlink()
    return [{name: tensors[name] for name in names[i::2]} for i in (0, 1)]


@pytest.fixture
def index(path, parts):
    for name, part in zip((FIRST, SECOND), parts, strict=True):
        save_file(part, path.with_name(name))
    index = path.with_name("model.safetensors.index.json")
    listed = dict.fromkeys(parts[0], FIRST) | dict.fromkeys(parts[1], SECOND)
    write_index(index, listed)
    return index


def write_index(index, listed):
    index.write_text(json.dumps({"metadata": {}, "weight_map": listed}))


def change_index(index, changes):
    """Lists other files for some tensors; None removes them."""
    listed = json.loads(index.read_text())["weight_map"] | changes
    write_index(index, {k: v for k, v in listed.items() if v is not None})


def test_all_files_of_an_index_are_read(index, donor):
    model = small()
    assert load(model, index) == []
    assert same_weights(model, donor)
    note = f"skipped the classifier of 10 classes in {index.name}"
    assert load(small(include_top=False), index) == [note]


def test_prefixes_are_taken_off_in_several_files(index, parts, donor):
    for name, part in zip((FIRST, SECOND), parts, strict=True):
        save_file({f"module.{k}": v for k, v in part.items()}, index.with_name(name))
    listed = json.loads(index.read_text())["weight_map"]
    write_index(index, {f"module.{k}": v for k, v in listed.items()})
    model = small()
    (note,) = load(model, index)
    assert "'module.'" in note
    assert same_weights(model, donor)


def test_files_with_names_in_capitals_are_read(index, donor):
    index.with_name(SECOND).rename(index.with_name("B.SAFETENSORS"))
    listed = json.loads(index.read_text())["weight_map"]
    change_index(index, {k: "B.SAFETENSORS" for k in listed if listed[k] == SECOND})
    model = small()
    load(model, index)
    assert same_weights(model, donor)


def test_a_file_with_a_name_that_no_system_has_is_missing(index):
    change_index(index, {"bn1.bias": "x" * 300 + ".safetensors"})
    refused(index, "which is missing")


def test_a_missing_file_is_named(index):
    index.with_name(SECOND).unlink()
    refused(index, SECOND, "missing")


def test_a_file_that_is_something_else_is_named(index):
    index.with_name(SECOND).write_text("<html>")
    with pytest.raises(errors.UsageError, match=rf"{SECOND} is a web page"):
        load(small(), index)
    index.with_name(SECOND).write_bytes(index.with_name(FIRST).read_bytes()[:-1])
    with pytest.raises(errors.UsageError, match=rf"{SECOND} is not a complete"):
        load(small(), index)


def test_a_tensor_in_two_files_is_refused(index, parts):
    (name, *_) = parts[0]
    save_file({**parts[1], name: parts[0][name]}, index.with_name(SECOND))
    with pytest.raises(errors.UsageError, match=f"{SECOND} has tensor '{name}', and"):
        load(small(), index)


def test_an_index_that_lists_other_tensors_is_refused(index):
    before = index.read_text()
    change_index(index, {"more": FIRST})
    refused(index, "lists tensor 'more'", FIRST)
    index.write_text(before)
    change_index(index, {"bn1.bias": None})
    with pytest.raises(errors.UsageError, match=r"'bn1\.bias', which .* does not list"):
        load(small(), index)
    index.write_text(before)
    owner = json.loads(before)["weight_map"]["bn1.bias"]
    other = FIRST if owner == SECOND else SECOND
    change_index(index, {"bn1.bias": other})
    refused(index, "'bn1.bias'", other, "does not hold it")


@pytest.mark.parametrize(
    "name",
    [
        "../model.safetensors",
        "/model.safetensors",
        "a/../../model.safetensors",
        "a/model.safetensors",
        "a\\model.safetensors",
        "./model.safetensors",
        "..",
        "..\\model.safetensors",
        "C:\\model.safetensors",
        "C:model.safetensors",
        "\\\\host\\share\\model.safetensors",
        "model.bin",
        "",
        7,
        None,
        ["model.safetensors"],
    ],
)
def test_anything_but_a_bare_name_is_refused(index, name):
    listed = json.loads(index.read_text())["weight_map"]
    write_index(index, {**listed, "bn1.bias": name})
    refused(index, "Allowed: .safetensors files in the index's own folder")


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": 7}']
)
def test_json_that_is_no_index_is_refused(index, text):
    index.write_text(text)
    refused(index, shards.AGAIN)


def test_a_file_finds_its_index(index):
    for name in (FIRST, SECOND):
        assert shards.find_index(index.with_name(name)) == index
    for name in ("model.safetensors", "model-00001-of-00001.safetensors", "a-of-b.h5"):
        assert shards.find_index(index.with_name(name)) is None
    index.unlink()
    with pytest.raises(errors.UsageError, match=r"one of 2 files.*index.json is not"):
        shards.find_index(index.with_name(FIRST))


def test_values_of_any_file_are_checked(index, parts):
    name = next(name for name in parts[1] if name.endswith("bias"))
    broken = {**parts[1], name: np.full_like(parts[1][name], np.nan)}
    save_file(broken, index.with_name(SECOND))
    refused(index, name, "not finite")
