"""Signals that are recorded rather than obeyed at once."""

import contextlib
import os
import signal
import threading
import time

import pytest

from normtest_tf.system import signals
from tests.helpers import programs


@pytest.mark.parametrize(
    ("number", "times"),
    [(signal.SIGINT, 1), (signal.SIGTERM, 3)],  # SIGTERMs come in pairs.
)
def test_a_signal_is_recorded_and_the_next_ctrl_c_obeyed(number, times):
    before = signal.getsignal(number)
    called = []
    with signals.StopRequest(then=lambda: called.append("then")) as stop:
        assert stop.received is None
        for _ in range(times):
            os.kill(os.getpid(), number)
        assert stop.received is number
        assert called == ["then"]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(number) is before


SWALLOWING = """
import time
from normtest_tf.system import keras_setup, signals
signals.report_sigterm()
print("kept", end="")
while True:
    try:
        with keras_setup.silent_stderr():
            open("ready", "w").close()
            time.sleep(60)
    except BaseException:
        pass
"""


def test_sigterm_ends_a_program_with_one_line_whatever_it_is_doing(tmp_path):
    with programs.start_python("-c", SWALLOWING, cwd=tmp_path) as process:
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        printed, complaints = process.communicate(timeout=10)
    assert process.returncode == 143
    assert printed == "kept"
    assert complaints == (
        "error: stopped by SIGTERM; everything completed so far is kept\n"
    )


@contextlib.contextmanager
def ignoring(number):
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)


def test_an_ignored_sigterm_is_not_reported():
    with ignoring(signal.SIGTERM):
        signals.report_sigterm()
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_an_ignored_signal_stays_ignored(number):
    with ignoring(number), signals.StopRequest() as stop:
        os.kill(os.getpid(), number)
        assert stop.received is None


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
