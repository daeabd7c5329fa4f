"""Function calls in a separate process, and the memory that processes take."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import os
import signal
import threading
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, ParamSpec, TypeVar

from normtest_tf import errors

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


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
