"""Functions called in a worker process, and the memory of processes."""

import os
import pathlib
import re
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


STATUS = pathlib.Path("/proc/self/status")
PEAKS = """
import subprocess, sys
from normtest_tf.system import workers
block = b"1" * (400 * 2**20)
print(workers.peak_mebibytes(), flush=True)
child = "from normtest_tf.system import workers; print(workers.peak_mebibytes())"
subprocess.run([sys.executable, "-c", child], check=True)
"""


@pytest.mark.skipif(not STATUS.is_file(), reason="needs /proc")
def test_the_peak_is_that_of_the_kernel_and_not_inherited():
    (kibibytes,) = re.findall(r"VmHWM:\s*(\d+) kB", STATUS.read_text())
    assert workers.peak_mebibytes() == pytest.approx(int(kibibytes) / 1024, rel=0.01)
    parent, child = map(float, programs.run_code(PEAKS).stdout.split())
    assert parent > 400
    assert 1 < child < 200


@pytest.mark.parametrize(
    ("text", "size", "words"),
    [
        ("4GB", 4_000_000_000, "4.0 GB"),
        ("500MB", 500_000_000, "500 MB"),
        ("1.5 GiB", 3 * 2**29, "1.6 GB"),
        ("2kb", 2000, "2.0 KB"),
        ("77", 77, "77 bytes"),
    ],
)
def test_sizes_are_read_and_written(text, size, words):
    assert workers.parse_size(text) == size
    assert workers.size_in_words(size) == words


@pytest.mark.parametrize("text", ["", "MB", "0MB", "-1GB", "4 apples", "1e9", "9" * 99])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(errors.UsageError, match="--memory_budget takes a size such as"):
        workers.parse_size(text)


def test_what_is_free_is_what_machine_and_container_leave(tmp_path, monkeypatch):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
    monkeypatch.setattr(workers, "MEMINFO", str(meminfo))
    monkeypatch.setattr(workers, "CGROUP", tmp_path)
    assert workers.free_memory() == 4000 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert workers.free_memory() == 4000 * 1024
    (tmp_path / "memory.max").write_text("21000\n")
    assert workers.free_memory() == 20000
    meminfo.unlink()
    assert workers.free_memory() == 20000
    (tmp_path / "memory.max").unlink()
    assert workers.free_memory() > 2**20
