"""Weights in several safetensors files, and the index that lists their tensors.

As the Hugging Face Hub has them:

    model.safetensors.index.json      {"weight_map": {TENSOR: FILE, ...}, ...}
    model-00001-of-00002.safetensors
    model-00002-of-00002.safetensors
"""

from __future__ import annotations

import pathlib
import re

from normtest_tf import errors
from normtest_tf.backbones.weights import formats
from normtest_tf.system import files

INDEX_SUFFIX = ".safetensors.index.json"
_SHARD = re.compile(r"(.+)-(\d+)-of-(\d+)\.safetensors", re.IGNORECASE)
AGAIN = "download the index and its files again"


def is_index(path: pathlib.Path) -> bool:
    """Tells whether a path is named like an index."""
    return path.name.lower().endswith(INDEX_SUFFIX)


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
    if match is None or int(match[3]) < 2:
        return None
    index = path.with_name(match[1] + INDEX_SUFFIX)
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
    listed = files.read_json(path).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise errors.UsageError(
            f"{path} is not an index of safetensors files: it has no 'weight_map'; "
            + AGAIN
        )
    shards = {name: _shard(path, name) for name in map(_text, listed.values())}
    for name, shard in shards.items():
        if not shard.is_file():
            raise errors.UsageError(
                f"{path} lists the file {name!r}, which is missing; download it to "
                "the same folder"
            )
        if (kind := formats.identify(shard)) != formats.SAFETENSORS:
            raise errors.UsageError(f"{shard} is a {kind}, not a {formats.SAFETENSORS}")
    return {tensor: shards[_text(name)] for tensor, name in listed.items()}


def _text(name: object) -> str:
    """Returns a file's name; no file has the name of something that isn't text."""
    return name if isinstance(name, str) else ""


def _shard(index: pathlib.Path, name: str) -> pathlib.Path:
    """Returns the path of a file in the index's folder."""
    path, windows = pathlib.PurePosixPath(name), pathlib.PureWindowsPath(name)
    if (
        path.is_absolute()
        or windows.anchor
        or ".." in windows.parts
        or not name.lower().endswith(".safetensors")
    ):
        raise errors.UsageError(
            f"{index} lists the file {name[:100]!r}. Allowed: .safetensors files in "
            "the index's own folder"
        )
    return index.parent / path
