"""One process at a time may write to a folder."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator

import filelock

from normtest_tf import errors

NAME = ".lock"


@contextlib.contextmanager
def only_writer(folder: pathlib.Path, *, wait: bool = False) -> Iterator[None]:
    """Locks a folder against other processes while the block runs.

    The operating system holds the lock, so it is released however the process ends.
    The empty lock file stays, because another process may be about to lock it.
    Folders created for the lock are removed again if nothing else was put in them.

    Args:
        folder: Created if it does not exist.
        wait: Whether to wait for another process to release the lock.

    Yields:
        Nothing.

    Raises:
        Locked: If another process holds the lock and `wait` is false.
        UsageError: If the folder can't be written to.
    """
    created = [path for path in (folder, *folder.parents) if not path.exists()]
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
        raise errors.unwritable(folder, error) from error
    try:
        yield
    finally:
        _remove_if_unused(folder, created)
        lock.release()


def _remove_if_unused(folder: pathlib.Path, created: list[pathlib.Path]) -> None:
    """Removes the folders created for the lock if they hold nothing else."""
    with contextlib.suppress(OSError):
        if created and [path.name for path in folder.iterdir()] == [NAME]:
            (folder / NAME).unlink()
            for path in created:
                path.rmdir()
