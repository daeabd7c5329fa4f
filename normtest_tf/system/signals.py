"""Stopping cleanly on SIGTERM or Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

from normtest_tf import errors

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def report_sigterm() -> None:
    """Makes SIGTERM print a line on stderr before it ends the process.

    For programs, from their start. Nothing changes if SIGTERM is ignored or handled
    already. The line appears even where stderr is redirected meanwhile.
    """
    if signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return
    stderr = os.dup(2)

    def end(number: int, frame: types.FrameType | None) -> None:
        ignore_sigterm()  # One line is enough.
        stop = errors.Interrupted(
            "everything completed so far is kept", signal.Signals(number)
        )
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        with contextlib.suppress(OSError):
            os.write(stderr, f"error: {stop}\n".encode())
        # An exception might be swallowed: any code may be running, imports above all.
        os._exit(stop.status)

    signal.signal(signal.SIGTERM, end)


def ignore_sigterm() -> None:
    """Ignores further SIGTERMs: the process is about to exit.

    `timeout`, for one, sends the signal twice: to the process and to its group.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Restores the handlers of SIGTERM and Ctrl-C that a library replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None:  # Otherwise it is not Python's to restore.
                signal.signal(number, handler)


class StopRequest:
    """Records SIGTERM and Ctrl-C while its block runs, instead of stopping at once.

    Further SIGTERMs are ignored after the first, since they come in pairs: to a
    process and to its group. Otherwise, a second signal has its usual effect. Signals
    that the process already ignores stay ignored, and outside the main thread, where
    Python can't install handlers, nothing changes.

    Args:
        then: Called when the signal arrives.

    Attributes:
        received: The signal that arrived, or None.

    Example:
    ```python
    with StopRequest() as stop:
        for step in steps:
            train(step)
            if stop.received:
                break
    ```
    """

    def __init__(self, then: Callable[[], None] | None = None) -> None:
        self._then = then
        self.received: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        """Installs the handlers."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                previous = signal.getsignal(number)
                if previous not in (signal.SIG_IGN, None):
                    self._previous[number] = signal.signal(number, self._record)
        return self

    def __exit__(self, *_: object) -> None:
        """Restores the previous handlers."""
        for number in list(self._previous):
            self._restore(number)

    def _record(self, number: int, frame: types.FrameType | None) -> None:
        if self.received is not None:  # A repeated SIGTERM.
            return
        self.received = signal.Signals(number)
        self._restore(signal.SIGINT)
        if self.received != signal.SIGTERM:
            self._restore(signal.SIGTERM)
        if self._then is not None:
            self._then()

    def _restore(self, number: signal.Signals) -> None:
        if number in self._previous:
            signal.signal(number, self._previous.pop(number))
