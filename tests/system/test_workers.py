"""Functions called in a worker process: what comes back, and what ends it."""

import os
import time

import pytest

from normtest_tf import errors
from normtest_tf.system import workers
from tests.helpers import programs


def fail(error):
    raise error


def test_values_and_errors_come_back_and_a_dead_worker_is_replaced():
    with workers.Worker({"A": "1"}) as worker:
        first = worker.call(os.getpid)
        assert worker.call(os.getpid) == first != os.getpid()
        assert worker.call(os.getenv, "A") == "1"
        for error in (
            errors.Locked("busy"),
            errors.TrainingFailed("train_loss", 3, 2, 0.1),
            KeyError("a bug"),
        ):
            with pytest.raises(type(error)) as caught:
                worker.call(fail, error)
            assert str(caught.value) == str(error)
        assert "in fail" in caught.value.__notes__[0]
        with pytest.raises(errors.WorkerDied, match="probably killed for lack of"):
            worker.call(os._exit, 0)
        second = worker.call(os.getpid)
        worker.end()
        assert len({first, second, worker.call(os.getpid)}) == 3


def test_calls_run_side_by_side_and_leaving_ends_them():
    with workers.Worker() as slow, workers.Worker() as fast:
        slow.send(time.sleep, 600)
        assert workers.wait([slow], 0) == []
        fast.send(os.getpid)
        assert workers.wait([slow, fast], 60) == [fast]
        assert fast.result() > 0


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
