"""The fault campaign: kills, corrupt files and full disks, and nothing is lost."""

import re

import pytest

from tests.helpers import programs

pytestmark = pytest.mark.campaign

FAULTS = ("kills", "sweep_kills", "checkpoints", "weights_files", "full_disks")


@pytest.mark.parametrize(
    ("fault", "number", "row", "seed"),
    [
        # In two halves each, so that workers can share them.
        ("sweep_kills", 5, "sweep killed", 1),
        ("sweep_kills", 5, "sweep killed", 2),
        ("kills", 15, "run killed", 1),
        ("kills", 15, "run killed", 2),
        ("checkpoints", 200, "checkpoint damaged", 1),
        ("weights_files", 1000, "weights file damaged", 1),
        ("full_disks", 3, "disk full", 1),
    ],
)
def test_nothing_is_lost(fault, number, row, seed, tmp_path):
    flags = [f"--{name}={number if name == fault else 0}" for name in FAULTS]
    flags.append(f"--seed={seed}")
    done = programs.run("faults", *flags, env={"TMPDIR": str(tmp_path)}, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    tried, survived = map(
        int, re.search(rf"{row}.*?(\d+) +(\d+)", done.stdout).groups()
    )
    if fault == "full_disks" and not tried:
        pytest.skip("no disk was filled: no tmpfs can be mounted here")
    assert tried == survived
    assert tried == number or fault == "full_disks"
