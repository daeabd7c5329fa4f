"""Explains what is wrong with a safetensors file, from its header alone.

The safetensors library refuses a file that it can't read, often without naming a
tensor, and accepts a name that occurs twice. A file consists of the header's length in
eight bytes, the header in JSON, and the tensors' bytes without gaps:

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

# A JSON object that may have a key twice; JSON arrays are lists.
Pairs: TypeAlias = tuple[tuple[str, object], ...]


class Entry(NamedTuple):
    """Where one tensor lies among the tensors' bytes."""

    name: str
    begin: int
    end: int


class HeaderError(ValueError):
    """The first fault in a header, as a clause."""


def fault(path: pathlib.Path) -> str | None:
    """Finds the first fault of a file.

    Args:
        path: A safetensors file that the library refuses.

    Returns:
        One line, which names the tensor concerned if there is one; None if neither
        the header nor the file's size shows a fault.
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
    """Finds a name that two tensors of a file have, which the library accepts.

    Args:
        path: A safetensors file.

    Returns:
        One line with the name that occurs most often, or None.
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
                f"its header claims {length} bytes; at most {MAX_HEADER_BYTES} are "
                "allowed"
            )
        if header_end > size:
            raise HeaderError(
                f"its header ends at byte {header_end} of a file of {size} bytes; the "
                "file is truncated"
            )
        text = file.read(length)
    return _parse(text), header_end, size


def _parse(text: bytes) -> Pairs:
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=tuple)
    except (ValueError, RecursionError) as error:
        raise HeaderError(
            f"its header is not JSON: {errors.one_line(error)}"
        ) from error
    if not isinstance(header, tuple):
        raise HeaderError("its header is not a JSON object")
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
    """Returns what the header says about one tensor, checked on its own."""
    tensor = f"tensor {_quoted(name)}"
    if not isinstance(value, tuple):
        raise HeaderError(f"{tensor} is not described by a JSON object")
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
        raise HeaderError(f"{tensor} has the invalid shape {_quoted(shape)}")
    if not _is_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise HeaderError(f"{tensor} has the invalid offsets {_quoted(offsets)}")
    begin, end = offsets
    if math.prod(shape) * BITS[dtype] != (end - begin) * 8:
        raise HeaderError(
            f"{tensor} of shape {shape} and dtype {dtype} can't have {end - begin} "
            f"bytes ({begin} to {end})"
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
                f"of a file of {size} bytes; the file is truncated"
            )
    position, before = 0, "its header"
    for entry in entries:
        tensor = f"tensor {_quoted(entry.name)}"
        if entry.begin < position:
            raise HeaderError(f"{tensor} overlaps {before}")
        if entry.begin > position:
            raise HeaderError(
                f"{entry.begin - position} bytes between {before} and {tensor} belong "
                "to no tensor"
            )
        position, before = entry.end, tensor
    if header_end + position < size:
        raise HeaderError(
            f"{size - header_end - position} bytes follow {before}, the last one"
            if entries
            else "it holds no tensors"
        )


def _quoted(value: object) -> str:
    """Returns the value on one line, abbreviated if it is long or deep."""
    representation = reprlib.Repr()
    representation.maxstring = 100
    return representation.repr(value)
