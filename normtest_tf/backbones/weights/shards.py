"""Weights in several safetensors files, and the index that lists their tensors.

As the Hugging Face Hub has them:

    model.safetensors.index.json      {"weight_map": {TENSOR: FILE, ...}, ...}
    model-00001-of-00002.safetensors
    model-00002-of-00002.safetensors
"""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Mapping

from normtest_tf import errors
from normtest_tf.backbones.weights import formats
from normtest_tf.system import files

_SHARD = re.compile(r"(.+)-(\d+)-of-(\d+)\.safetensors", re.IGNORECASE)
AGAIN = "download the index and its files again"


def is_index(path: pathlib.Path) -> bool:
    """Tells whether a path is named like an index."""
    return path.name.lower().endswith(formats.INDEX_SUFFIX)


def is_part(name: str) -> bool:
    """Tells whether a file is named as one of several, such as the second of two."""
    match = _SHARD.fullmatch(name)
    return match is not None and int(match[3]) > 1


def find_index(path: pathlib.Path) -> pathlib.Path | None:
    """Finds the index that a file belongs to.

    Args:
        path: An existing file.

    Returns:
        The index beside it, or None if it is not named as one of several files.

    Raises:
        UsageError: If it is, but its index is missing.
    """
    match = _SHARD.fullmatch(path.name)
    if match is None or not is_part(path.name):
        return None
    index = path.with_name(match[1] + formats.INDEX_SUFFIX)
    if not index.is_file():
        raise errors.UsageError(
            f"{path} is one of {int(match[3])} files with a network's weights, and "
            f"their index {index.name} is not beside it; download the index as well"
        )
    return index


def read_index(path: pathlib.Path) -> dict[str, pathlib.Path]:
    """Reads an index.

    Args:
        path: The index.

    Returns:
        The file of each tensor, by its name. All of them exist.

    Raises:
        UsageError: If the index can't be read, or names a file that is outside of its
            folder, is missing or holds something else.
    """
    listed = files.read_json(path, AGAIN).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise errors.UsageError(
            f"{path} is not an index of safetensors files: it has no 'weight_map'; "
            + AGAIN
        )
    shards = {name: _shard(path, name) for name in map(_text, listed.values())}
    for name, shard in shards.items():
        if not os.path.isfile(shard):  # `Path.is_file` would raise.
            raise errors.UsageError(
                f"{path} lists the file {name!r}, which is missing; download it to "
                "the same folder"
            )
        formats.identify(shard)
    return {tensor: shards[_text(name)] for tensor, name in listed.items()}


def parts(listed: Mapping[str, pathlib.Path]) -> list[pathlib.Path]:
    """Returns the files that an index lists, sorted, each of them once.

    Args:
        listed: From `read_index`.
    """
    return sorted(set(listed.values()))


def _text(name: object) -> str:
    """Returns a file's name; no file has the name of something that isn't text."""
    return name if isinstance(name, str) else ""


def _shard(index: pathlib.Path, name: str) -> pathlib.Path:
    """Returns the path of a file in the index's folder."""
    bare = pathlib.PureWindowsPath(name).name  # It splits at slashes of both kinds.
    if name != bare or not name.lower().endswith(".safetensors"):
        raise errors.UsageError(
            f"{index} lists the file {name[:100]!r}. Allowed: .safetensors files in "
            "the index's own folder, by their bare names"
        )
    return index.parent / name
