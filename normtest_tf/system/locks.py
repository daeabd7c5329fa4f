"""One writer a folder, across processes."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator

import filelock

from normtest_tf import errors

NAME = ".lock"


@contextlib.contextmanager
def only_writer(folder: pathlib.Path, *, wait: bool = False) -> Iterator[None]:
    """Makes this process the only one that writes to a folder.

    The system holds the lock, so it ends with the process, however that ends. The
    empty file stays: others may be about to lock it. A folder that was made for
    the lock and holds nothing else in the end is removed again.

    Args:
        folder: It need not exist.
        wait: Whether to wait while another process holds the lock.

    Yields:
        Nothing.

    Raises:
        Locked: If another process holds it, unless `wait`.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / NAME, timeout=-1 if wait else 0)
        lock.acquire()
    except filelock.Timeout as error:
        raise errors.Locked(
            f"another process is writing to {folder}; wait until it has finished, "
            "or choose another --results_dir or --seed"
        ) from error
    except OSError as error:
        raise errors.UsageError(
            f"can't write to {folder}: {errors.one_line(error)}; name another place"
        ) from error
    try:
        yield
    finally:
        _remove_if_unused(folder, made)
        lock.release()


def _remove_if_unused(folder: pathlib.Path, made: list[pathlib.Path]) -> None:
    """Removes the folders that were made for the lock, if it is alone in them."""
    with contextlib.suppress(OSError):
        if made and [path.name for path in folder.iterdir()] == [NAME]:
            (folder / NAME).unlink()
            for path in made:
                path.rmdir()
