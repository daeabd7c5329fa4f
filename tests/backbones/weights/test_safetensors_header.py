"""Safetensors files whose header is wrong are refused with the tensor's name."""

import json
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from normtest_tf import errors
from normtest_tf.backbones.weights import safetensors_files, safetensors_header
from tests.backbones.weights.helpers import load, refused, rewrite, small


def parts(path):
    """Returns the tensors in a file's header, and their bytes."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header.pop("__metadata__", None)
    return header, data[end:]


def write_file(path, header, data, claimed=None):
    """Writes a file with any header, which may claim any length for itself."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if claimed is None else claimed
    path.write_bytes(length.to_bytes(8, "little") + text + data)


FC = "fc.weight"  # 10 x 128 floats, 5120 bytes.


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data_offsets": [8, 5128]}, ["overlaps tensor"]),
        ({"data_offsets": [10**9, 10**9 + 5120]}, ["ends at byte", "truncated"]),
        ({"data_offsets": [5120, 0]}, ["invalid offsets"]),
        ({"data_offsets": [0, 2**70]}, ["invalid offsets"]),
        ({"data_offsets": [0, 1, 2]}, ["invalid offsets"]),
        ({"data_offsets": [-5120, 0]}, ["invalid offsets"]),
        ({"shape": [10, 129]}, ["[10, 129]", "F32", "5120 bytes"]),
        ({"shape": [2**40, 2**60]}, [str(2**60), "5120 bytes"]),
        ({"shape": [2**64, 0]}, ["invalid shape"]),
        ({"shape": [1] * 10**6}, ["invalid shape"]),
        ({"shape": "10"}, ["invalid shape"]),
        ({"shape": [10.0, 128]}, ["invalid shape"]),
        ({"shape": [True, 1280]}, ["invalid shape"]),
        ({"dtype": "F16"}, ["F16", "5120 bytes"]),
        ({"dtype": "F33"}, ["unknown dtype 'F33'"]),
        ({"dtype": 7}, ["unknown dtype 7"]),
        ({"dtype": None}, ["unknown dtype None"]),
    ],
)
def test_a_header_that_is_wrong_about_a_tensor_is_refused(path, changes, words):
    header, data = parts(path)
    header[FC].update(changes)
    write_file(path, header, data)
    refused(path, "not a complete", f"tensor '{FC}'", *words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": [128, 10]}, ["[128, 10]", "[10, 128]"]),
        ({"shape": [10, 128, 1]}, ["[10, 128, 1]"]),
        ({"dtype": "I32"}, ["dtype I32"]),
        ({"dtype": "U8", "shape": [5120]}, ["has shape [5120]"]),
        ({"dtype": "F8_E4M3", "shape": [10, 512]}, ["[10, 512]"]),
    ],
)
def test_a_wrong_header_that_the_library_accepts_is_refused(path, changes, words):
    header, data = parts(path)
    header[FC].update(changes)
    write_file(path, header, data)
    refused(path, f"tensor '{FC}'", *words)


@pytest.mark.parametrize("key", ["dtype", "shape", "data_offsets"])
def test_a_header_that_lacks_or_repeats_a_key_is_refused(path, key):
    header, data = parts(path)
    value = header[FC].pop(key)
    write_file(path, header, data)
    refused(path, f"tensor '{FC}' lacks the key '{key}'")
    header[FC].update({key: value, "again": value})
    write_file(path, json.dumps(header).replace('"again"', f'"{key}"').encode(), data)
    refused(path, f"tensor '{FC}' has the key '{key}' 2 times")


@pytest.mark.parametrize(
    "entry", [7, [], [["dtype", "F32"]], json.loads("[" * 500 + "]" * 500)]
)
def test_a_tensor_that_is_no_object_is_refused(path, entry):
    header, data = parts(path)
    header[FC] = entry
    write_file(path, header, data)
    refused(path, "not a complete", f"tensor '{FC}' is not described by a JSON object")


@pytest.mark.parametrize("same_place", [True, False])
def test_two_tensors_of_one_name_are_refused(path, same_place):
    """The library uses the later one if all bytes still belong to some tensor."""
    header, data = parts(path)
    first = dict(header[FC], shape=[128, 10])
    if not same_place:
        first["data_offsets"] = [len(data), len(data) + 5120]
        data += bytes(5120)
    header = {"twice": first, **header}
    write_file(path, json.dumps(header).replace("twice", FC).encode(), data)
    refused(path, f"'{FC}' 2 times")


def test_one_tensor_under_an_old_and_a_new_name_is_refused(tmp_path):
    name = "features.denseblock1.denselayer1.norm"
    path = tmp_path / "both.safetensors"
    save_file({f"{name}{dot}1.bias": np.zeros(4, "f4") for dot in (".", "")}, path)
    refused(path, "under two names", f"{name}1.bias", f"{name}.1.bias")


@pytest.mark.parametrize(
    ("header", "claimed", "word"),
    [
        (b"", 10**12, "at most 100000000"),
        (b"{}", 2**64 - 1, "at most 100000000"),
        (b"{}", 10**6, "the file is truncated"),
        (b"{", None, "not JSON"),
        (b"[]", None, "not a JSON object"),
        (b"[" * 10**6, None, "not JSON"),
        (b'{"\xff": 0}', None, "not JSON"),
        (b"9" * 10**4, None, "not JSON"),
        (b"{}", None, "no tensors"),
    ],
)
def test_bytes_that_are_not_a_header_are_refused(path, header, claimed, word):
    write_file(path, header, b"some bytes", claimed)
    refused(path, "not a complete", word)


def test_bytes_that_belong_to_no_tensor_are_refused(path):
    header, data = parts(path)
    last = max(header, key=lambda name: header[name]["data_offsets"][1])
    write_file(path, header, data + b"more")
    refused(path, f"4 bytes follow tensor '{last}'")
    header[last]["data_offsets"] = [
        offset + 4 for offset in header[last]["data_offsets"]
    ]
    write_file(path, header, data + b"more")
    refused(path, "4 bytes between tensor", f"and tensor '{last}' belong to no tensor")


def test_a_long_name_in_a_header_is_cut_short(path):
    write_file(path, {"n\n" * 10**6: {}}, b"")
    with pytest.raises(errors.UsageError, match="lacks the key 'dtype'") as caught:
        load(small(), path)
    assert len(str(caught.value)) < len(str(path)) + 300
    assert "\n" not in str(caught.value)


def test_a_truncated_file_names_the_first_incomplete_tensor(path):
    header, data = parts(path)
    whole = path.read_bytes()
    start = len(whole) - len(data)
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        for length in {begin, begin + 1, end - 1}:
            path.write_bytes(whole[: start + length])
            problem = safetensors_header.fault(path)
            assert problem.startswith(
                f"tensor '{name}' ends at byte {start + end} of a"
            )
    refused(path, f"'{name}'", "the file is truncated; download or write it again")
    for length in (1, 7):
        path.write_bytes(whole[:length])
        refused(path, "too few for a header")
    for length in (8, 9, start // 2, start - 1):
        path.write_bytes(whole[:length])
        refused(path, f"its header ends at byte {start} of", "the file is truncated")


def test_float64_values_that_overflow_float32_are_refused(path):
    rewrite(path, lambda t: t.update({"bn1.bias": np.full(32, 1e300)}))
    refused(path, "bn1.bias", "not finite")


def changed_variables(model, tensors):
    """Returns by tensor how many of a model's values are not the file's."""
    found = {}
    for name, variable in safetensors_files.variables_by_tensor(model).items():
        stored = safetensors_files.from_pytorch(tensors[name])
        found[name] = int(np.sum(np.array(variable) != stored))
    return {name: count for name, count in found.items() if count}


def tensor_at(path, position):
    header, data = parts(path)
    position -= path.stat().st_size - len(data)
    return next(
        (
            name
            for name, entry in header.items()
            if entry["data_offsets"][0] <= position < entry["data_offsets"][1]
        ),
        None,
    )


def test_a_single_wrong_byte_is_refused_or_changes_one_number(path):
    """Only a checksum could show that a number is wrong."""
    whole, tensors = path.read_bytes(), load_file(path)
    header_end = len(whole) - len(parts(path)[1])
    rng = np.random.default_rng(0)
    positions = [
        *rng.integers(header_end, size=150),
        *rng.integers(len(whole), size=150),
    ]
    owners = [tensor_at(path, position) for position in positions]
    model, loaded, refusals = small(), 0, []
    tracemalloc.start()
    for position, owner in zip(positions, owners, strict=True):
        mutated = bytearray(whole)
        mutated[position] ^= int(rng.integers(1, 256))
        path.write_bytes(mutated)
        try:
            load(model, path)
        except errors.UsageError as error:
            refusals.append((owner, str(error)))
        else:
            loaded += 1
            assert changed_variables(model, tensors) in ({}, {owner: 1})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert loaded > 100
    assert len(refusals) > 100
    assert all(repr(owner) in error for owner, error in refusals if owner)
    assert peak < 50e6
