"""Calling functions in a separate process, whose memory is freed when it exits."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.process
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from normtest_tf import errors
from normtest_tf.system import quiet, signals, streams

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Worker:
    """A separate process that runs one function call at a time.

    TensorFlow leaks the graph of every trained model; only ending the process frees
    that memory. The process starts with the first call and never outlives this one.
    Ctrl-C and SIGTERM reach it exactly once, as SIGTERM, whichever of the two
    processes they are sent to. Use it in a `with` statement.

    Example:
    ```python
    with Worker() as worker:
        assert worker.call(os.getpid) != os.getpid()
    ```
    """

    def __init__(self) -> None:
        self._executor: concurrent.futures.ProcessPoolExecutor | None = None
        self._process: multiprocessing.process.BaseProcess | None = None

    def __enter__(self) -> Worker:
        """Returns itself; the process starts with the first call."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the process."""
        self.renew()

    def renew(self) -> None:
        """Ends the process; the next call starts a new one."""
        if self._executor is not None:
            self._executor.shutdown()
        self._executor = None

    def call(
        self,
        function: Callable[Parameters, Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """Calls a function in the process.

        Args:
            function: Defined at the top level of a module, so it can be pickled.
            *args: Picklable arguments.
            **kwargs: Picklable arguments.

        Returns:
            The function's result.

        Raises:
            WorkerDied: If the process exits before it returns a result.
            UsageError: If Keras can't be imported there.
            Interrupted: If SIGTERM or Ctrl-C arrives during the call.
            Exception: Whatever the function raises.
        """
        with signals.StopRequest(then=self._terminate) as stop:
            try:
                executor = self._executor or self._start()
                result = executor.submit(function, *args, **kwargs).result()
            except BrokenProcessPool as error:
                self.renew()
                if stop.received is None:
                    raise errors.WorkerDied from error
            except errors.Interrupted as interruption:
                number = stop.received or interruption.number
                raise errors.Interrupted(interruption.resume_hint, number) from None
            except KeyboardInterrupt:  # A second Ctrl-C: don't wait any longer.
                self._kill()
                raise
        if stop.received is not None:
            raise errors.Interrupted(
                "everything completed so far is kept", stop.received
            )
        return result

    def _start(self) -> concurrent.futures.ProcessPoolExecutor:
        self._executor = concurrent.futures.ProcessPoolExecutor(
            max_workers=1,
            # Forking a process that runs TensorFlow's threads can deadlock.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_initialise,
        )
        others = set(multiprocessing.active_children())
        with _ctrl_c_ignored():  # Inherited by the new process from the start.
            self._executor.submit(os.getpid)
        (self._process,) = set(multiprocessing.active_children()) - others
        try:
            # An error in `_initialise` would be lost.
            self._executor.submit(_import_tensorflow).result()
        except Exception:
            self.renew()
            raise
        return self._executor

    def _terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()


def _initialise() -> None:
    """Prepares the new process."""
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    streams.prepare()


def _import_tensorflow() -> None:
    """Imports TensorFlow in the new process."""
    quiet.import_tensorflow()
    import tensorflow as tf

    # Silences warnings about leaked graphs: the worker exists to free them.
    tf.get_logger().setLevel("ERROR")


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
