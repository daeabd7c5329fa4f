"""Stopping cleanly between two training steps on SIGTERM or Ctrl-C."""

from __future__ import annotations

import signal
import threading
import types
from collections.abc import Callable
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Records SIGTERM and Ctrl-C while its block runs, instead of stopping at once.

    A second signal has its usual effect. Signals that the process already ignores
    stay ignored, and outside the main thread, where Python can't install handlers,
    nothing changes.

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
        self._restore()

    def _record(self, number: int, frame: types.FrameType | None) -> None:
        self.received = signal.Signals(number)
        self._restore()
        if self._then is not None:
            self._then()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
