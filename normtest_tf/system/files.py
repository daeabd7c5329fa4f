"""Writing files that are either complete or not there."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from normtest_tf import errors

TEMPORARY = ".writing-"  # How the names of unfinished files' folders begin.


@contextlib.contextmanager
def atomic_path(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path that takes the place of `path` on success.

    What is written there may also be a folder. The temporary path lies in the same
    folder and has the same suffix, so that writers which look at the suffix behave
    the same. It is flushed to the disk before it is renamed, the new name after
    that, so that files written one after another also survive a power cut in that
    order. It is removed if the block raises.

    Args:
        path: The file or folder to write. The folder it is in is made if need be.

    Yields:
        The path to write to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=path.parent))
    temporary = folder / path.name
    try:
        yield temporary
        for file in _files(temporary):
            with open(file, "rb") as opened:
                os.fsync(opened.fileno())
        if temporary.is_dir() and path.is_dir():
            _replace_folder(temporary, path)
        else:
            os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        shutil.rmtree(folder)


def _sync_folder(folder: pathlib.Path) -> None:
    """Flushes the names in a folder to the disk, where the system can do that."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def expand(name: str) -> pathlib.Path:
    """Returns the path that a user means, with `~` as the home folder.

    Raises:
        UsageError: If there is no such home folder.
    """
    try:
        return pathlib.Path(name).expanduser()
    except RuntimeError as error:
        raise errors.UsageError(
            f"there is no home folder {name.split('/')[0]}; write ./{name} for what "
            "is called that here"
        ) from error


def remove_leftovers(folder: pathlib.Path) -> None:
    """Removes what killed processes had begun to write, directly in a folder.

    Nobody else may be writing there meanwhile.
    """
    for path in folder.glob(f"{TEMPORARY}*"):
        shutil.rmtree(path, ignore_errors=True)


def _replace_folder(new: pathlib.Path, path: pathlib.Path) -> None:
    """Puts a folder in the place of one that holds something, in two steps."""
    old = new.parent / f"{new.name}.old"
    os.replace(path, old)
    try:
        os.replace(new, path)
    except OSError:
        os.replace(old, path)
        raise


def _files(path: pathlib.Path) -> list[pathlib.Path]:
    """Returns a file, or all files in a folder."""
    if path.is_dir():
        return [inner for inner in path.rglob("*") if inner.is_file()]
    return [path]


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes `text` to `path` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: pathlib.Path, value: object) -> None:
    """Writes `value` to `path` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def sha256(path: pathlib.Path) -> str:
    """Returns the SHA-256 digest of a file's content, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_writable(folder: pathlib.Path) -> None:
    """Checks that a folder can be made and written to, and leaves no trace.

    Args:
        folder: It need not exist.

    Raises:
        UsageError: If it can't.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if _is(path))
    try:
        if not existing.is_dir():
            raise NotADirectoryError(f"{existing} is not a folder")
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise errors.UsageError(
            f"can't write to {folder}: {errors.one_line(error)}; name another place"
        ) from error


def _is(path: pathlib.Path) -> bool:
    """Tells whether a path exists, also where looking at it is an error."""
    try:
        return path.exists()
    except OSError:
        return False
