"""Signals that are recorded rather than obeyed at once."""

import os
import signal
import threading
import time

import pytest

from normtest_tf.system import signals
from tests.helpers import programs


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


def test_sigterms_that_come_in_pairs_are_one():
    before = signal.getsignal(signal.SIGTERM)
    called = []
    with signals.StopRequest(then=lambda: called.append("then")) as stop:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received is signal.SIGTERM
        assert called == ["then"]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


SWALLOWING = """
import time
from normtest_tf.system import quiet, signals
signals.report_sigterm()
print("kept", end="")
while True:
    try:
        with quiet.silent_stderr():
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


def test_an_ignored_sigterm_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        signals.report_sigterm()
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


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
