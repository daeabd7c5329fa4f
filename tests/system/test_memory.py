"""The peak memory use of a process."""

import pathlib
import re
import subprocess
import sys

import pytest

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
