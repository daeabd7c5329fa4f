"""The peak memory use of a process."""

import pathlib
import re

import pytest

from normtest_tf.system import memory

STATUS = pathlib.Path("/proc/self/status")


@pytest.mark.skipif(not STATUS.is_file(), reason="needs /proc")
def test_the_peak_is_that_of_the_kernel_in_mebibytes():
    (kibibytes,) = re.findall(r"VmHWM:\s*(\d+) kB", STATUS.read_text())
    # It may be higher: a process that replaces another one inherits its peak.
    assert 0.9 < memory.peak_mebibytes() / (int(kibibytes) / 1024) < 100
