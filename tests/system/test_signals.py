"""Signals that are recorded rather than obeyed at once."""

import os
import signal
import threading

import pytest

from normtest_tf.system import signals


def test_a_signal_is_recorded_and_the_next_one_obeyed():
    before = signal.getsignal(signal.SIGINT)
    called = []
    with signals.StopRequest(then=lambda: called.append("then")) as stop:
        assert stop.received is None
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.received is signal.SIGINT
        assert called == ["then"]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals.StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.received is None
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_install_no_handler():
    found = []

    def look():
        with signals.StopRequest():
            found.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [before]
