"""Reading and writing files that are either complete or absent."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from typing import Any

from normtest_tf import errors
from normtest_tf.system import contents, json_values

TEMPORARY = ".writing-"  # Prefix of the folders that hold unfinished files.
MAX_TEXT_BYTES = 10_000_000  # No JSON or CSV file of ours comes near this size.
RESTORE = "restore the file from a copy"


@contextlib.contextmanager
def atomic_path(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path that replaces `path` if the block succeeds.

    A file or a folder may be written there. The temporary path has the same name in
    a new folder next to `path`, so writers that look at the suffix work unchanged.
    Content is flushed to disk before the rename and the rename itself afterwards, so
    files written one after another survive a power cut in that order. If the block
    raises, the temporary path is removed and `path` is left as it was.

    Args:
        path: The file or folder to write. Its parent is created if necessary.

    Yields:
        The path to write to.

    Example:
    ```python
    with atomic_path(pathlib.Path("results/history.csv")) as temporary:
        temporary.write_text("epoch,train_loss")
    ```
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


def _files(path: pathlib.Path) -> list[pathlib.Path]:
    """Returns the file itself, or all files in a folder."""
    if path.is_dir():
        return [inner for inner in path.rglob("*") if inner.is_file()]
    return [path]


def _replace_folder(new: pathlib.Path, path: pathlib.Path) -> None:
    """Replaces a non-empty folder, which no single system call can do."""
    # A kill between the two renames leaves the old folder as a temporary one, which
    # `remove_leftovers` deletes.
    old = new.parent / f"{new.name}.old"
    os.replace(path, old)
    try:
        os.replace(new, path)
    except OSError:
        os.replace(old, path)
        raise


def _sync_folder(folder: pathlib.Path) -> None:
    """Flushes a folder's entries to disk, where the system supports it."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: pathlib.Path) -> None:
    """Removes the unfinished files that killed processes left in a folder.

    Args:
        folder: Searched without its subfolders. No other process may be writing to
            it meanwhile.
    """
    for path in folder.glob(f"{TEMPORARY}*"):
        shutil.rmtree(path, ignore_errors=True)


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes `text` to `path` as UTF-8, atomically; bytes in names are escaped."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: pathlib.Path, value: object) -> None:
    """Writes `value` to `path` as indented JSON, atomically.

    Raises:
        ValueError: If `value` contains NaN or infinity, which JSON lacks.
    """
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: pathlib.Path, advice: str = RESTORE) -> dict[str, Any]:
    """Reads a file that holds a JSON object.

    Args:
        path: A text file, as for `read_text`.
        advice: What to do about an unusable file, without a trailing full stop.

    Returns:
        The object, as a dict.

    Raises:
        UsageError: If the file can't be read, or is not a JSON object: NaN,
            infinity and repeated names are refused.
    """
    text = read_text(path, advice)
    try:
        value = json_values.parse(text)
    except ValueError as error:
        raise errors.unreadable(path, error, advice) from error
    if not isinstance(value, dict):
        raise errors.UsageError(f"{path} does not hold a JSON object; {advice}")
    return value


def read_text(path: pathlib.Path, advice: str = RESTORE) -> str:
    """Reads a text file that editors or tools may have changed.

    Args:
        path: A UTF-8 file of at most `MAX_TEXT_BYTES`; it may begin with a byte order
            mark.
        advice: What to do about an unusable file, without a trailing full stop.

    Returns:
        The text, without a byte order mark.

    Raises:
        UsageError: If the file is missing, too large, not UTF-8 text, or what some
            tool left in its place.
    """
    try:
        data = _small_file(path)
    except (OSError, ValueError) as error:
        raise errors.unreadable(path, error, advice) from error
    if problem := _not_text(data, advice):
        raise errors.UsageError(f"can't read {path}: {problem}")
    return data.decode("utf-8-sig")


def _small_file(path: pathlib.Path) -> bytes:
    """Reads a file, but no pipe and nothing huge."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "pipe or a device"
        raise ValueError(f"it is a {kind}, not a file")
    if status.st_size > MAX_TEXT_BYTES:
        raise ValueError(f"it is larger than {MAX_TEXT_BYTES:,} bytes")
    return path.read_bytes()


def _not_text(data: bytes, advice: str) -> str | None:
    """Says why data are not UTF-8 text, and what to do, or returns None if they are."""
    if kind := contents.unusable_kind(data[: contents.HEAD_BYTES], advice):
        return f"it is {kind}"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:2]:
        return "it is UTF-16 text, not UTF-8: save it as UTF-8"
    if b"\0" in data:
        return f"it holds zero bytes (was the copy cut off?); {advice}"
    if re.search(rb"^<<<<<<< ", data, re.MULTILINE):
        return "it holds the marks of a merge conflict in Git: resolve it"
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return f"it is not UTF-8 text (byte {error.start + 1}); {advice}"
    return None


def sha256(path: pathlib.Path) -> str:
    """Returns the SHA-256 digest of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def expand(name: str) -> pathlib.Path:
    """Returns the path for a name typed by the user, with `~` expanded.

    Raises:
        UsageError: If the name is empty, or starts with `~user` and there is no such
            user.
    """
    if not name.strip():
        raise errors.UsageError(
            "a path is empty; write . for the current folder, or omit the flag"
        )
    try:
        return pathlib.Path(name).expanduser()
    except RuntimeError as error:
        raise errors.UsageError(
            f"there is no home folder {name.split('/')[0]}; write ./{name} for a file "
            "or folder of that name here"
        ) from error


def check_writable(folder: pathlib.Path) -> None:
    """Checks that a folder can be created and written to, leaving no trace.

    Args:
        folder: It need not exist.

    Raises:
        UsageError: If it can't be created or written to.
    """
    existing = next(
        path for path in (folder, *folder.absolute().parents) if _exists(path)
    )
    try:
        if not existing.is_dir():
            raise NotADirectoryError(f"{existing} is not a folder")
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise errors.unwritable(folder, error) from error


def _exists(path: pathlib.Path) -> bool:
    """Tells whether a path exists; one that can't be accessed counts as missing."""
    try:
        return path.exists()
    except OSError:
        return False
