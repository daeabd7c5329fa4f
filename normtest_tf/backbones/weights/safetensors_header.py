"""What is wrong with a safetensors file, told by its header.

The safetensors library refuses what it can't read, often without a tensor's name, and
accepts a name that occurs twice. The file is eight bytes with the header's length, the
header in JSON, and the tensors' bytes, without gaps:

    {"fc.bias": {"dtype": "F32", "shape": [10], "data_offsets": [0, 40]}, ...}

No tensor is read or allocated here.
"""

from __future__ import annotations

import collections
import json
import math
import pathlib
import reprlib
from typing import NamedTuple, TypeAlias

from normtest_tf import errors

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000  # The library's own limit.
MAX_AXES = 64
BITS = {
    **{"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6},
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}

# An object of JSON, with keys that occur twice; arrays are lists.
Pairs: TypeAlias = tuple[tuple[str, object], ...]


class Entry(NamedTuple):
    """Where one tensor lies among the tensors' bytes."""

    name: str
    begin: int
    end: int


class HeaderError(ValueError):
    """A sentence on the first fault of a header."""


def fault(path: pathlib.Path) -> str | None:
    """Tells what is wrong with a file.

    Args:
        path: A safetensors file that the library refuses.

    Returns:
        One line that names the tensor concerned, if one is; None if the header and
        the file's size show no fault.
    """
    try:
        header, header_end, size = _read(path)
        _check_names(header)
        entries = [_entry(name, value) for name, value in _tensors(header)]
        _check_layout(entries, header_end, size)
    except HeaderError as error:
        return str(error)
    return None


def repeated_name(path: pathlib.Path) -> str | None:
    """Tells whether a file that the library accepts has two tensors of one name.

    Args:
        path: A safetensors file.

    Returns:
        One line that names the first such tensor, or None.
    """
    try:
        _check_names(_read(path)[0])
    except HeaderError as error:
        return str(error)
    return None


def _read(path: pathlib.Path) -> tuple[Pairs, int, int]:
    """Returns the header, where in the file it ends, and the file's size."""
    size = path.stat().st_size
    if size < LENGTH_BYTES:
        raise HeaderError(f"it has {size} bytes, too few for a header")
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        header_end = LENGTH_BYTES + length
        if length > MAX_HEADER_BYTES:
            raise HeaderError(
                f"its header claims {length} bytes, and at most {MAX_HEADER_BYTES} "
                "are allowed"
            )
        if header_end > size:
            raise HeaderError(
                f"its header ends at byte {header_end} of a file of {size} bytes; it "
                "was cut off"
            )
        text = file.read(length)
    return _parse(text), header_end, size


def _parse(text: bytes) -> Pairs:
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=tuple)
    except (ValueError, RecursionError) as error:
        raise HeaderError(f"its header is no JSON: {errors.one_line(error)}") from error
    if not isinstance(header, tuple):
        raise HeaderError("its header is no JSON object")
    return header


def _check_names(header: Pairs) -> None:
    """Raises if a name occurs twice."""
    name, count = _most_common(header)
    if count > 1:
        raise HeaderError(f"its header has the name {_quoted(name)} {count} times")


def _most_common(pairs: Pairs) -> tuple[str, int]:
    counts = collections.Counter(key for key, _ in pairs)
    return max(counts.items(), key=lambda item: item[1], default=("", 0))


def _tensors(header: Pairs) -> Pairs:
    return tuple((key, value) for key, value in header if key != "__metadata__")


def _entry(name: str, value: object) -> Entry:
    """Returns what the header says of one tensor, checked by itself."""
    tensor = f"tensor {_quoted(name)}"
    if not isinstance(value, tuple):
        raise HeaderError(f"{tensor} is described by no JSON object")
    key, count = _most_common(value)
    if count > 1:
        raise HeaderError(f"{tensor} has the key {_quoted(key)} {count} times")
    fields = dict(value)
    for key in ("dtype", "shape", "data_offsets"):
        if key not in fields:
            raise HeaderError(f"{tensor} lacks the key {key!r}")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise HeaderError(f"{tensor} has the unknown dtype {_quoted(dtype)}")
    if not _is_counts(shape):
        raise HeaderError(f"{tensor} has the impossible shape {_quoted(shape)}")
    if not _is_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise HeaderError(f"{tensor} has the impossible offsets {_quoted(offsets)}")
    begin, end = offsets
    if math.prod(shape) * BITS[dtype] != (end - begin) * 8:
        raise HeaderError(
            f"{tensor} can't have the shape {shape}, dtype {dtype} and {end - begin} "
            f"bytes ({begin} to {end}) at once"
        )
    return Entry(name, begin, end)


def _is_counts(value: object) -> bool:
    """Tells whether a value is a short list of integers that fit 64 bits."""
    return (
        isinstance(value, list)
        and len(value) <= MAX_AXES
        and all(type(item) is int and 0 <= item < 2**64 for item in value)
    )


def _check_layout(entries: list[Entry], header_end: int, size: int) -> None:
    """Raises unless the tensors lie side by side and fill the file."""
    entries = sorted(entries, key=lambda entry: (entry.begin, entry.end))
    for entry in entries:
        if header_end + entry.end > size:
            raise HeaderError(
                f"tensor {_quoted(entry.name)} ends at byte {header_end + entry.end} "
                f"of a file of {size} bytes; it was cut off"
            )
    position, before = 0, "its header"
    for entry in entries:
        tensor = f"tensor {_quoted(entry.name)}"
        if entry.begin < position:
            raise HeaderError(f"{tensor} overlaps {before}")
        if entry.begin > position:
            raise HeaderError(
                f"{entry.begin - position} bytes between {before} and {tensor} belong "
                "to none"
            )
        position, before = entry.end, tensor
    if header_end + position < size:
        raise HeaderError(
            f"{size - header_end - position} bytes follow {before}, the last one"
            if entries
            else "it holds no tensors"
        )


def _quoted(value: object) -> str:
    """Returns the value in one line, short however long or deep it is."""
    representation = reprlib.Repr()
    representation.maxstring = 100
    return representation.repr(value)
