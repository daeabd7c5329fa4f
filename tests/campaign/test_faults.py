"""The fault campaign: kills, corrupt files and full disks, and nothing is lost."""

import re

import pytest

from tests.helpers import programs

pytestmark = pytest.mark.campaign

FAULTS = ("kills", "sweep_kills", "checkpoints", "weights_files", "full_disks")


@pytest.mark.parametrize(
    ("fault", "number", "row"),
    [
        # Two workers take a half each, and the slowest faults come first in both.
        ("sweep_kills", 10, "sweep killed"),
        ("checkpoints", 200, "checkpoint damaged"),
        ("kills", 30, "run killed"),
        ("weights_files", 1000, "weights file damaged"),
        ("full_disks", 3, "disk full"),
    ],
)
def test_nothing_is_lost(fault, number, row, tmp_path):
    flags = [f"--{name}={number if name == fault else 0}" for name in FAULTS]
    done = programs.run("faults", *flags, env={"TMPDIR": str(tmp_path)}, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    tried, survived = map(
        int, re.search(rf"{row}.*?(\d+) +(\d+)", done.stdout).groups()
    )
    if fault == "full_disks" and not tried:
        pytest.skip("no disk was filled: no tmpfs can be mounted here")
    assert tried == survived
    assert tried == number or fault == "full_disks"


def test_nothing_is_lost_on_jax(tmp_path):
    pytest.importorskip("jax")
    env = {"TMPDIR": str(tmp_path)}
    kills = {"kills": 8, "sweep_kills": 2}
    flags = [f"--{name}={kills.get(name, 0)}" for name in FAULTS]
    done = programs.run("faults", "--backend=jax", *flags, timeout=1800, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"run killed.*? 8 +8\n", done.stdout)
    assert re.search(r"sweep killed.*? 2 +2\n", done.stdout)
