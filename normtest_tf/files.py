"""Writing files that are either complete or not there."""

import contextlib
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

from normtest_tf import errors


@contextlib.contextmanager
def atomic_path(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path that takes the place of `path` on success.

    The temporary file lies in the same folder and has the same suffix, so that
    writers which look at the suffix behave the same. It is flushed to the disk
    before it is renamed, and removed if the block raises.

    Args:
        path: The file to write. Its folder is made if need be.

    Yields:
        The path to write to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=".writing-", dir=path.parent))
    temporary = folder / path.name
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        folder.rmdir()


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes `text` to `path` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: pathlib.Path, value: Any) -> None:  # noqa: ANN401
    """Writes `value` to `path` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


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
