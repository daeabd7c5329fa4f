"""Functions called in another process: what comes back, and what ends it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from normtest_tf import errors
from normtest_tf.system import workers
from tests.helpers import ROOT


def fail(error):
    raise error


def kill_caller():
    os.kill(os.getppid(), signal.SIGTERM)
    time.sleep(600)


def test_values_errors_and_the_process():
    with workers.Worker() as worker:
        first = worker.call(os.getpid)
        assert worker.call(os.getpid) == first != os.getpid()
        for error in (
            errors.Locked("busy"),
            errors.TrainingFailed("train_loss", 3, 2, 0.1),
        ):
            with pytest.raises(type(error)) as caught:
                worker.call(fail, error)
            assert str(caught.value) == str(error)
        with pytest.raises(errors.ProcessDied):
            worker.call(os._exit, 0)
        second = worker.call(os.getpid)
        worker.renew()
        assert len({first, second, worker.call(os.getpid)}) == 3


def test_interruptions_keep_their_message_and_status():
    error = errors.Interrupted("all is kept", signal.SIGTERM)
    with (
        workers.Worker() as worker,
        pytest.raises(errors.Interrupted, match="stopped by SIGTERM; all") as caught,
    ):
        worker.call(fail, error)
    assert caught.value.status == 143


def test_sigterm_ends_what_does_not_listen():
    before = signal.getsignal(signal.SIGTERM)
    with (
        workers.Worker() as worker,
        pytest.raises(errors.Interrupted, match="stopped by SIGTERM"),
    ):
        worker.call(kill_caller)
    assert signal.getsignal(signal.SIGTERM) is before


PARENT = """
import os, time
from normtest_tf import processes
if __name__ == "__main__":
    with processes.Worker() as worker:
        print(worker.call(os.getpid), flush=True)
        worker.call(time.sleep, 600)
"""


def test_it_ends_with_the_process_that_made_it(tmp_path):
    program = tmp_path / "parent.py"
    program.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(program)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    for _ in range(200):
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return  # It has ended; nobody has asked for its status yet.
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.05)
    pytest.fail("it is still there")
