"""Calling functions in another process, which gives its memory back when it ends."""

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
from normtest_tf.system import quiet, signals

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Worker:
    """A process that calls functions, one after another.

    It starts with the first call and ends with this process, however that ends.
    Ctrl-C and SIGTERM reach it once, as SIGTERM, whichever of the two processes
    the system sends them to. Use it in a `with` statement.
    """

    def __init__(self) -> None:
        self._executor: concurrent.futures.ProcessPoolExecutor | None = None
        self._process: multiprocessing.process.BaseProcess | None = None

    def __enter__(self) -> Worker:
        """Starts nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the process."""
        self.renew()

    def renew(self) -> None:
        """Ends the process; the next call starts another one."""
        if self._executor is not None:
            self._executor.shutdown()
        self._executor = None

    def call(
        self,
        function: Callable[Parameters, Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """Returns what a function returns there, or raises what it raises.

        Args:
            function: Of a module, for it to be found by name there.
            *args: What can be pickled.
            **kwargs: What can be pickled.

        Raises:
            ProcessDied: If the process ends meanwhile.
            Interrupted: If SIGTERM or Ctrl-C came meanwhile.
        """
        with signals.StopRequest(then=self._terminate) as stop:
            try:
                executor = self._executor or self._start()
                result = executor.submit(function, *args, **kwargs).result()
            except BrokenProcessPool as error:
                self.renew()
                if stop.received is None:
                    raise errors.ProcessDied from error
            except errors.Interrupted as interruption:
                number = stop.received or interruption.number
                raise errors.Interrupted(interruption.outlook, number) from None
            except KeyboardInterrupt:  # A second Ctrl-C: nobody wants to wait.
                self._process.kill()
                raise
        if stop.received is not None:
            raise errors.Interrupted("what was complete is kept", stop.received)
        return result

    def _start(self) -> concurrent.futures.ProcessPoolExecutor:
        """Starts the process."""
        self._executor = concurrent.futures.ProcessPoolExecutor(
            max_workers=1,
            # A fork of a process with TensorFlow's threads can wait forever.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
        )
        others = set(multiprocessing.active_children())
        with _ctrl_c_ignored():  # By the new process, too, from its first moment.
            self._executor.submit(os.getpid)
        (self._process,) = set(multiprocessing.active_children()) - others
        return self._executor

    def _terminate(self) -> None:
        """Asks the process to end."""
        if self._process is not None:
            self._process.terminate()


def _begin() -> None:
    """Prepares the new process."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    quiet.import_tensorflow()
    import tensorflow as tf

    # It warns of the graphs of many models, which are what a worker is for.
    tf.get_logger().setLevel("ERROR")


def _end_with_parent() -> None:
    """Waits for the parent to end, and ends this process at once then."""
    multiprocessing.parent_process().join()
    os._exit(1)


@contextlib.contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Ignores Ctrl-C, where Python allows to say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
