"""The user's own weights files: which file a path stands for, and its digest."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from normtest_tf import errors
from normtest_tf.backbones.weights import formats, shards
from normtest_tf.system import files

RUN_MODEL = "model.keras"  # In the folder of a finished run.


def locate(path: pathlib.Path) -> pathlib.Path | None:
    """Finds the weights file that a path stands for, and checks what it is.

    Args:
        path: A weights file; the index of several, or one of these; or a folder with
            an index, a `model.safetensors`, or a finished run.

    Returns:
        The file to load: that of several is their index. None if there is nothing.

    Raises:
        UsageError: If it can't be read, or is no weights file.
    """
    try:
        if path.is_dir():
            path = _in_folder(path)
        elif not path.is_file():
            return None
        path = shards.find_index(path) or path
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        raise errors.unreadable(path, error) from error
    if formats.identify(path) == formats.INDEX:
        shards.read_index(path)
    return path


def _in_folder(folder: pathlib.Path) -> pathlib.Path:
    """Returns the one weights file in a folder."""
    names = sorted(path.name for path in folder.iterdir())
    known = [name for name in (RUN_MODEL, formats.HUB_FILE) if name in names]
    found = [*known, *(name for name in names if shards.is_index(folder / name))]
    if len(found) == 1:
        return folder / found[0]
    if found:
        problem = f"holds both {found[0]} and {found[1]}; name one of them"
    elif {"config.json", "history.csv"} <= set(names):
        problem = f"is the folder of a run without {RUN_MODEL}; finish the run first"
    else:
        for name in names:  # Say what these lack rather than what a folder needs.
            path = folder / name
            if shards.is_part(name) or formats.named(path) == formats.PYTORCH:
                return path
        problem = "is a folder without weights that can be loaded"
    raise errors.UsageError(
        f"{folder} {problem}. Allowed: the path of a file "
        f"({', '.join(formats.SUFFIXES)}), or a folder with one {RUN_MODEL}, "
        f"{formats.HUB_FILE} or *{formats.INDEX_SUFFIX}"
    )


def sha256(path: pathlib.Path) -> str:
    """Returns the digest of a weights file, in hexadecimal.

    Each file is read once a process, unless its size or time of change changes.

    Args:
        path: From `locate`.

    Returns:
        The SHA-256 of the file's content. Of an index, that of what `sha256sum`
        prints for the files that it lists, sorted by name.

    Raises:
        UsageError: If a file can't be read.
    """
    if not shards.is_index(path):
        return _file_sha256(path)
    parts = shards.parts(shards.read_index(path))
    lines = [f"{_file_sha256(part)}  {part.name}\n" for part in parts]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _file_sha256(path: pathlib.Path) -> str:
    try:
        status = path.stat()
        return _digest(path.absolute(), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise errors.unreadable(path, error) from error


@functools.cache
def _digest(path: pathlib.Path, size: int, mtime_ns: int) -> str:
    """Returns a file's SHA-256; size and time of change tell its versions apart."""
    return files.sha256(path)


@contextlib.contextmanager
def with_suffix(path: pathlib.Path, suffix: str) -> Iterator[pathlib.Path]:
    """Yields a path of the same file that ends in a suffix, which Keras looks at.

    Args:
        path: A file.
        suffix: In lower case, such as `.weights.h5`.

    Yields:
        The path itself if it ends so, otherwise that of a temporary copy.
    """
    if path.name.endswith(suffix):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / f"model{suffix}"
        shutil.copyfile(path, copy)
        yield copy
