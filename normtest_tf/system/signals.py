"""Ending a run between two steps when the system or the user asks for it."""

from __future__ import annotations

import signal
import threading
import types
from collections.abc import Callable
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Notes SIGTERM and Ctrl-C while its block runs, instead of ending at once.

    A second signal acts as it would have without this. Outside of the main thread,
    where Python allows no handlers, and for signals that the process was told to
    ignore, nothing changes.

    Args:
        then: Called when the signal comes.

    Attributes:
        received: The signal that came, or None.
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
                    self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Puts back what was there."""
        self._restore()

    def _note(self, number: int, frame: types.FrameType | None) -> None:
        self.received = signal.Signals(number)
        self._restore()
        if self._then is not None:
            self._then()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
