"""Files that are complete or absent, JSON, folders with one writer; memory, hosts."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import filelock
import msgspec

from normtest_tf import errors

TEMPORARY = ".writing-"  # Prefix of the folders that hold unfinished files.
LOCK = ".lock"
unfinished: set[pathlib.Path] = set()  # Such folders of this process.
RESTORE = "restore the file from a copy"
HEAD_BYTES = 512  # Enough for `unusable_kind`.
_LFS = b"version https://git-lfs.github.com/spec/"
_HTML = (b"<!doctype html", b"<html", b"<head", b"<?xml")
# The memory of the machine, and of the container that the process runs in.
MEMINFO = "/proc/meminfo"
CGROUP = pathlib.Path("/sys/fs/cgroup")
OWN_GROUP = "/proc/self/cgroup"
TIMEOUT_SECONDS = 8.0  # A name look-up can hang beyond every socket timeout.
# A proxy answers with one of these when it can't reach the server itself.
_PROXY_ERRORS = {407, 502, 503, 504}


@contextlib.contextmanager
def atomic_path(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path that replaces `path` if the block succeeds.

    A file or a folder may be written there, under the same name in a new folder, so
    that writers may look at the suffix. Content is flushed to disk before the rename
    and the rename itself afterwards: files written one after another survive a power
    cut in that order. If the block raises, `path` is left as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=path.parent))
    unfinished.add(folder)
    temporary = folder / path.name
    try:
        yield temporary
        for file in (temporary, *temporary.rglob("*")):
            if file.is_file():
                with open(file, "rb") as opened:
                    os.fsync(opened.fileno())
        if temporary.is_dir() and path.is_dir():
            # No system call replaces a folder that is not empty. A kill between these
            # two leaves the old one among what `remove_leftovers` deletes.
            os.replace(path, folder / "old")
        os.replace(temporary, path)
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    finally:
        shutil.rmtree(folder)
        unfinished.discard(folder)


def remove_leftovers(folder: pathlib.Path) -> None:
    """Removes the unfinished files that killed processes left in a folder."""
    for path in folder.glob(f"{TEMPORARY}*"):
        shutil.rmtree(path, ignore_errors=True)


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text as UTF-8, atomically; bytes in names are escaped."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: pathlib.Path, value: object) -> None:
    """Writes a value as indented JSON, atomically; `ValueError` for NaN."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: pathlib.Path, advice: str = RESTORE, kind: Any = dict) -> Any:  # noqa: ANN401  (a kind)
    """Reads a value of a type, by default an object, or raises `UsageError`."""
    text = read_text(path, advice)
    try:
        return msgspec.json.decode(text, type=kind)
    except Exception as error:
        raise errors.unreadable(path, error, advice) from error


def read_text(path: pathlib.Path, advice: str = RESTORE) -> str:
    """Reads a UTF-8 file, without a byte order mark, or raises `UsageError`."""
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is not a file")  # Opening a pipe would block for ever.
        data = path.read_bytes()
        if kind := unusable_kind(data[:HEAD_BYTES]):
            raise ValueError(f"it is {kind}")
        return data.decode("utf-8-sig")
    except Exception as error:  # Of a member of a zip, zlib and zipfile have more.
        raise errors.unreadable(path, error, advice) from error


def unusable_kind(head: bytes) -> str | None:
    """Recognises a file that is not what it is named, by its first `HEAD_BYTES`."""
    if not head:
        return "empty"
    if head.startswith(_LFS):
        return "a Git LFS pointer, not the file itself: run `git lfs pull`"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_HTML):
        return "a web page, not the file itself: download it again"
    if not any(head):
        return "nothing but zero bytes: copy or download it again"
    return None


def sha256(path: pathlib.Path) -> str:
    """Returns the SHA-256 digest of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def expand(name: str) -> pathlib.Path:
    """Returns the path for a name typed by the user, with `~` expanded."""
    if not name.strip():
        raise errors.UsageError(
            "a path is empty; write . for the current folder, or omit the flag"
        )
    try:
        return pathlib.Path(name).expanduser()
    except RuntimeError as error:
        raise errors.unreadable(pathlib.Path(name), error) from error


def check_writable(folder: pathlib.Path) -> None:
    """Raises `UsageError` unless a folder can be created and written to."""
    parents = (folder, *folder.absolute().parents)
    existing = next(path for path in parents if os.path.exists(path))
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise errors.unwritable(folder, error) from error


@contextlib.contextmanager
def only_writer(folder: pathlib.Path, *, wait: bool = False) -> Iterator[None]:
    """Locks a folder against other processes while the block runs.

    The operating system holds the lock, so it is released however the process ends.
    The empty lock file stays, because another process may be about to lock it; but
    folders that were created for nothing else are removed again. Raises `Locked` if
    another process holds the lock, unless the call waits for it.
    """
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / LOCK, timeout=-1 if wait else 0)
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
        with contextlib.suppress(OSError):
            if created and os.listdir(folder) == [LOCK]:
                (folder / LOCK).unlink()
                for path in created:
                    path.rmdir()
        lock.release()


def peak_mebibytes() -> float | None:
    """Returns the peak resident memory of this process; None without /proc."""
    # `getrusage` counts what the parent had when it started this process.
    peak = _number_in("/proc/self/status", "VmHWM:", 2**10)
    return None if peak is None else peak / 2**20


def free_memory() -> int:
    """Returns how many bytes the machine and the container still have to give."""
    free = [_number_in(MEMINFO, "MemAvailable:", 2**10)]
    group = CGROUP
    with contextlib.suppress(OSError):  # A job's own group is below the container's.
        lines = pathlib.Path(OWN_GROUP).read_text(encoding="utf-8").splitlines()
        group /= next((x[4:] for x in lines if x.startswith("0::/")), "")
    for path in (group, *group.parents):
        with contextlib.suppress(OSError, ValueError):  # `max`: there is no limit.
            limit = int((path / "memory.max").read_text())
            used = int((path / "memory.current").read_text())
            cached = _number_in(path / "memory.stat", "inactive_file ") or 0
            free.append(max(limit - used + cached, 0))
    # Without /proc: what a small machine can spare.
    return min((size for size in free if size is not None), default=4 * 2**30)


def _number_in(path: str | pathlib.Path, name: str, unit: int = 1) -> int | None:
    """Returns the number behind a name in a file of the kernel."""
    with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith(name):
                return int(line.split()[1]) * unit
    return None


def host_problem(url: str) -> str | None:
    """Says why a host does not answer, in at most `TIMEOUT_SECONDS`; None if it does.

    Clients of the Hub and of TensorFlow Datasets would retry for minutes.
    """
    problem: list[str | None] = [f"no answer within {TIMEOUT_SECONDS:g} s"]

    def ask() -> None:
        # requests honours the proxies and certificates of the environment.
        import requests

        try:
            with requests.get(url, stream=True, timeout=TIMEOUT_SECONDS) as response:
                status = response.status_code
            refused = status in _PROXY_ERRORS
            problem[0] = f"a proxy answered {status}" if refused else None
        except (requests.RequestException, OSError) as error:
            problem[0] = errors.first_cause(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(TIMEOUT_SECONDS)
    return problem[0]
