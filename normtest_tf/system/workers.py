"""Processes: function calls in one of their own, and the memory that they take."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import os
import pathlib
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, ParamSpec, TypeVar

from normtest_tf import errors

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
_UNITS = {"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
# Of the machine, and of the container that the process runs in.
MEMINFO = "/proc/meminfo"
CGROUP = pathlib.Path("/sys/fs/cgroup")


class Worker:
    """A separate process that runs one function call at a time.

    TensorFlow leaks the graph of every trained model; only ending the process frees
    that memory. The process starts with the first call and never outlives this one.
    Ctrl-C does not reach it: leaving the `with` block ends it.

    Args:
        environment: Variables that the process gets in addition to this one's.

    Attributes:
        calls: How many calls the process has received.

    Example:
    ```python
    with Worker() as worker:
        assert worker.call(os.getpid) != os.getpid()
    ```
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.calls = 0
        self._environment = dict(environment or {})
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: multiprocessing.connection.Connection | None = None

    def __enter__(self) -> Worker:
        """Returns itself; the process starts with the first call."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the process."""
        self.end()

    def end(self) -> None:
        """Ends the process at once, whatever it is doing; the next call starts one."""
        if self._process is not None and self._connection is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
        self.calls, self._process, self._connection = 0, None, None

    def call(
        self,
        function: Callable[Parameters, Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """Calls a function in the process and returns its result; see `result`."""
        self.send(function, *args, **kwargs)
        return self.result()

    def send(
        self,
        function: Callable[Parameters, Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> None:
        """Begins a call, of a function at the top level of a module; see `wait`."""
        if self._process is None or not self._process.is_alive():
            self._start()
        self.calls += 1
        with contextlib.suppress(OSError):  # It has died: `result` says so.
            self._open_connection.send((function, args, kwargs))

    def result(self) -> Any:  # noqa: ANN401  (the function's)
        """Waits for the call to end and returns its result.

        Raises:
            WorkerDied: If the process ends before; the next call starts another.
            Exception: Whatever the function raises.
        """
        try:
            succeeded, value = self._open_connection.recv()
        except (EOFError, OSError) as error:
            self.end()
            raise errors.WorkerDied from error
        if succeeded:
            return value
        raise value

    def _start(self) -> None:
        self.end()
        # Forking a process that runs TensorFlow's threads can deadlock.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self._environment), name="normtest_tf worker"
        )
        with _ctrl_c_ignored():  # Inherited by the new process from the start.
            self._process.start()
        theirs.close()

    @property
    def _open_connection(self) -> multiprocessing.connection.Connection:
        assert self._connection is not None
        return self._connection


def wait(workers: Collection[Worker], seconds: float) -> list[Worker]:
    """Returns those whose call has ended, after waiting a while for the first."""
    by_connection: dict[Any, Worker] = {w._open_connection: w for w in workers}
    ready = multiprocessing.connection.wait([*by_connection], seconds)
    return [by_connection[connection] for connection in ready]


def _serve(
    connection: multiprocessing.connection.Connection, environment: Mapping[str, str]
) -> None:
    """Executes calls in the new process until the other end closes."""
    os.environ.update(environment)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    while True:
        function, args, kwargs = connection.recv()
        try:
            answer = True, function(*args, **kwargs)
        except Exception as error:
            if not isinstance(error, errors.UsageError):
                error.add_note(traceback.format_exc())
            answer = False, error
        connection.send(answer)


def _exit_with_parent() -> None:
    """Waits for the parent to end, then exits at once."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # Only the worker's own process calls this.
    parent.join()
    os._exit(1)


@contextlib.contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Ignores Ctrl-C in the main thread; elsewhere Python can't change handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def peak_mebibytes() -> float | None:
    """Returns the peak resident memory of this process; None on Windows."""
    # `getrusage` counts what the parent had when it started this process.
    if (peak := _bytes_in("/proc/self/status", "VmHWM:")) is not None:
        return peak / 2**20
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def parse_size(text: str) -> int:
    """Returns the bytes that a size such as `4GB`, `500MB` or `1.5GiB` stands for."""
    found = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([A-Za-z]*)\s*", text)
    unit = _UNITS.get(found[2].upper()) if found else None
    size = int(float(found[1]) * unit) if found and unit else 0
    if size < 1:
        raise errors.UsageError(
            "--memory_budget takes a size such as 4GB, 500MB or 64MiB. Received: "
            f"{text[:50]!r}"
        )
    return size


def size_in_words(size: int) -> str:
    """Writes a number of bytes: `1.9 GB`, `38 MB`."""
    for unit in ("GB", "MB", "KB"):
        if (value := size / _UNITS[unit]) >= 1:
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{size} bytes"


def free_memory() -> int:
    """Returns how many bytes the machine and the container still have to give."""
    free = [_bytes_in(MEMINFO, "MemAvailable:"), _left_in_cgroup()]
    # Without /proc: what a small machine can spare.
    return min((size for size in free if size is not None), default=4 * 2**30)


def _bytes_in(path: str, name: str) -> int | None:
    """Returns a number of KiB in a file of the kernel, in bytes."""
    with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith(name):
                return int(line.split()[1]) * 2**10
    return None


def _left_in_cgroup() -> int | None:
    """Returns what a container's limit leaves, in bytes; None without a limit."""
    with contextlib.suppress(OSError, ValueError):
        limit = int((CGROUP / "memory.max").read_text())
        return max(limit - int((CGROUP / "memory.current").read_text()), 0)
    return None
