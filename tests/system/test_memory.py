"""Memory: the peak of a process, what is free, and sizes in words."""

import pathlib
import re
import subprocess
import sys

import pytest

from normtest_tf import errors
from normtest_tf.system import memory

STATUS = pathlib.Path("/proc/self/status")
needs_proc = pytest.mark.skipif(not STATUS.is_file(), reason="needs /proc")

CHILD = "from normtest_tf.system import memory; print(memory.peak_mebibytes())"
PARENT = f"""
import subprocess, sys
block = bytes(400 * 2**20)
subprocess.run([sys.executable, "-c", {CHILD!r}], check=True)
"""


@needs_proc
def test_the_peak_is_that_of_the_kernel_in_mebibytes():
    (kibibytes,) = re.findall(r"VmHWM:\s*(\d+) kB", STATUS.read_text())
    assert memory.peak_mebibytes() == pytest.approx(int(kibibytes) / 1024, rel=0.01)


@needs_proc
def test_a_process_does_not_inherit_its_parents_peak():
    command = [sys.executable, "-c", PARENT]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert 1 < float(done.stdout) < 200


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GB", 4_000_000_000),
        ("500MB", 500_000_000),
        ("1MB", 1_000_000),
        ("1.5 GiB", 3 * 2**29),
        ("2kb", 2000),
        ("77", 77),
    ],
)
def test_sizes_are_read_in_decimal_and_binary_units(text, size):
    assert memory.parse(text) == size


@pytest.mark.parametrize("text", ["", "MB", "0MB", "-1GB", "4 apples", "1e9", "9" * 99])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(errors.UsageError, match="--memory_budget takes a size such as"):
        memory.parse(text)


@pytest.mark.parametrize(
    ("size", "words"),
    [(77, "77 bytes"), (3000, "3.0 KB"), (38_400_000, "38 MB"), (1.94e9, "1.9 GB")],
)
def test_sizes_are_written_with_two_digits(size, words):
    assert memory.in_words(size) == words


def test_what_is_free_is_what_machine_and_container_leave(tmp_path, monkeypatch):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
    monkeypatch.setattr(memory, "MEMINFO", str(meminfo))
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert memory.free_bytes() == 4000 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert memory.free_bytes() == 4000 * 1024
    (tmp_path / "memory.max").write_text("21000\n")
    assert memory.free_bytes() == 20000
    meminfo.unlink()
    assert memory.free_bytes() == 20000
    (tmp_path / "memory.max").unlink()
    assert memory.free_bytes() > 2**20
