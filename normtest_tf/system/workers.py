"""Calling functions in a separate process, whose memory is freed when it exits."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import multiprocessing
import multiprocessing.process
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, ParamSpec, TypeVar

from normtest_tf import errors
from normtest_tf.system import keras_setup, signals, streams

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Worker:
    """A separate process that runs one function call at a time.

    TensorFlow leaks the graph of every trained model; only ending the process frees
    that memory. The process starts with the first call and never outlives this one.
    Use it in a `with` statement.

    Args:
        environment: Variables that the process gets in addition to this one's.

    Example:
    ```python
    with Worker() as worker:
        assert worker.call(os.getpid) != os.getpid()
    ```
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(environment or {})
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

        Ctrl-C and SIGTERM reach the process exactly once, as SIGTERM, whichever of the
        two processes they are sent to.

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
        with signals.StopRequest(then=self.terminate) as stop:
            try:
                result = self.result(self.submit(function, *args, **kwargs))
            except errors.WorkerDied:
                if stop.received is None:
                    raise
            except errors.Interrupted as interruption:
                number = stop.received or interruption.number
                raise errors.Interrupted(interruption.resume_hint, number) from None
            except KeyboardInterrupt:  # A second Ctrl-C: don't wait any longer.
                self.kill()
                raise
        if stop.received is not None:
            raise errors.Interrupted(
                "everything completed so far is kept", stop.received
            )
        return result

    def submit(
        self,
        function: Callable[Parameters, Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> concurrent.futures.Future[Result]:
        """Begins a call and returns at once; signals are the caller's affair.

        Args:
            function: Defined at the top level of a module, so it can be pickled.
            *args: Picklable arguments.
            **kwargs: Picklable arguments.

        Returns:
            For `result`, once it is done. One call at a time.
        """
        executor = self._executor or self._start()
        try:
            return executor.submit(_call, function, args, kwargs)
        except BrokenProcessPool as error:  # The process ended between two calls.
            future: concurrent.futures.Future[Result] = concurrent.futures.Future()
            future.set_exception(error)
            return future

    def result(self, future: concurrent.futures.Future[Result]) -> Result:
        """Waits for a call to end and returns its result.

        Args:
            future: From `submit`.

        Raises:
            WorkerDied: If the process exits before it returns a result; the next call
                starts another.
            UsageError: If Keras can't be imported there; likewise.
            Exception: Whatever the function raises.
        """
        try:
            return future.result()
        except BrokenProcessPool as error:
            self.renew()
            raise errors.WorkerDied from error
        except _UnusableError as unusable:
            self.renew()
            raise unusable.args[0] from None

    def terminate(self) -> None:
        """Sends SIGTERM to the process, which stops the call in its own way."""
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """Ends the process at once."""
        if self._process is not None:
            self._process.kill()

    def _start(self) -> concurrent.futures.ProcessPoolExecutor:
        self._executor = concurrent.futures.ProcessPoolExecutor(
            max_workers=1,
            # Forking a process that runs TensorFlow's threads can deadlock.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_initialise,
            initargs=(self._environment,),
        )
        others = set(multiprocessing.active_children())
        with _ctrl_c_ignored():  # Inherited by the new process from the start.
            self._executor.submit(os.getpid)
        (self._process,) = set(multiprocessing.active_children()) - others
        return self._executor


class _UnusableError(Exception):
    """TensorFlow or Keras can't be imported in the process; holds the reason."""


def _call(
    function: Callable[..., Result], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Result:
    """Calls a function in the new process, with TensorFlow imported."""
    try:
        _import_tensorflow()
    except Exception as error:
        raise _UnusableError(error) from None
    return function(*args, **kwargs)


def _initialise(environment: Mapping[str, str]) -> None:
    """Prepares the new process."""
    os.environ.update(environment)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    streams.prepare()


@functools.cache
def _import_tensorflow() -> None:
    """Imports TensorFlow in the new process, once."""
    keras_setup.import_tensorflow()
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
