"""Runs on images in a temporary file: the same as in memory."""

import dataclasses

import numpy as np
import pytest

from normtest_tf import errors, runs
from normtest_tf.runs import finetuning
from tests.datasets import helpers
from tests.helpers import faults
from tests.helpers.tiny_runs import new_config, outcome


def write_photographs(root, count):
    """Writes images of several sizes, in two classes."""
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        for index in range(count):
            size = tuple(random.integers(9, 20, 2))
            helpers.write_random(root / name / f"{index}.png", size, random)


def test_a_run_is_the_same_in_memory_and_in_a_file_and_may_change(tmp_path, tiny):
    write_photographs(tmp_path / "pets", 28)
    options = {"image_size": 16, "validation_examples": 8, "test_fraction": 0.25}
    config = dataclasses.replace(
        new_config(tmp_path / "kept", **options), dataset=f"folder:{tmp_path / 'pets'}"
    )
    finetuning.run(config)
    expected = outcome(config)
    in_file = dataclasses.replace(
        config, results_dir=str(tmp_path / "mapped"), memory_budget="30KB"
    )
    notes = []
    with faults.after_step(3, 1), pytest.raises(faults.Killed):
        finetuning.run(in_file, notify=notes.append)
    how = "0.25 of each class for testing, drawn with seed 0"
    assert f"folder-pets has no test split: {how}" in notes
    assert any("kept in a temporary file" in note for note in notes)
    in_memory = dataclasses.replace(in_file, memory_budget=None)
    assert finetuning.run(in_memory).resumed_epochs == (2,)
    assert outcome(in_file) == expected
    records = [runs.ConfigRecord.read(one.folder) for one in (config, in_file)]
    assert records[0].resolved.division == how
    for name in ("requested", "resolved", "data_fingerprint"):
        assert getattr(records[0], name) == getattr(records[1], name)
    other = dataclasses.replace(config, split_seed=1)
    with pytest.raises(errors.UsageError, match=r"split_seed=None there, .*=1 now"):
        finetuning.run(other)
