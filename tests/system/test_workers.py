"""Functions called in a worker process: what comes back, and what ends it."""

import os
import signal
import time

import pytest

from normtest_tf import errors
from normtest_tf.system import workers
from tests.helpers import programs


def fail(error):
    raise error


def kill_caller():
    os.kill(os.getppid(), signal.SIGTERM)
    time.sleep(600)


def test_values_and_errors_come_back_and_a_dead_worker_is_replaced():
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
        with pytest.raises(errors.WorkerDied, match="probably killed for lack of"):
            worker.call(os._exit, 0)
        second = worker.call(os.getpid)
        worker.renew()
        assert len({first, second, worker.call(os.getpid)}) == 3


def test_interruptions_keep_their_hint_and_status():
    error = errors.Interrupted("run it again to resume", signal.SIGTERM)
    with (
        workers.Worker() as worker,
        pytest.raises(errors.Interrupted, match="stopped by SIGTERM; run") as caught,
    ):
        worker.call(fail, error)
    assert caught.value.resume_hint == "run it again to resume"
    assert caught.value.status == 143


def test_sigterm_ends_a_function_that_ignores_it():
    before = signal.getsignal(signal.SIGTERM)
    with (
        workers.Worker() as worker,
        pytest.raises(errors.Interrupted, match="stopped by SIGTERM"),
    ):
        worker.call(kill_caller)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_keras_json_that_keras_refuses_is_told_each_time(monkeypatch, tmp_path):
    path = tmp_path / "keras.json"
    path.write_text('{"floatx": "bfloat16"}')
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with workers.Worker() as worker:
        for _ in range(2):
            with pytest.raises(errors.UsageError, match="floatx=bfloat16; check"):
                worker.call(os.getpid)
        path.unlink()
        assert worker.call(os.getpid) != os.getpid()


PARENT = """
import os, time
from normtest_tf.system import workers
if __name__ == "__main__":
    with workers.Worker() as worker:
        print(worker.call(os.getpid), flush=True)
        worker.call(time.sleep, 600)
"""


def test_a_worker_ends_with_the_process_that_started_it(tmp_path):
    program = tmp_path / "parent.py"
    program.write_text(PARENT)
    with programs.start_python(program) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    for _ in range(200):
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return  # A zombie: it has ended, and its parent is gone.
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.05)
    pytest.fail("the worker outlived its parent")
