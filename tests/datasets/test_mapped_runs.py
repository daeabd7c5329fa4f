"""Runs on images in a temporary file: the same as in memory."""

import dataclasses

import numpy as np
import pytest

from normtest_tf import errors, runs
from normtest_tf.runs import finetuning
from tests.datasets import helpers
from tests.helpers import faults
from tests.helpers.tiny_runs import new_config, outcome


def photographs(root, splits):
    """Writes images of several sizes, and returns the root."""
    random = np.random.default_rng(0)
    for split, count in splits.items():
        for name in ("cat", "dog"):
            for index in range(count):
                size = tuple(random.integers(9, 20, 2))
                helpers.write_random(root / split / name / f"{index}.png", size, random)
    return root


def test_a_run_is_the_same_in_memory_and_in_a_file_and_may_change(tmp_path, tiny):
    root = photographs(tmp_path / "photos", {"train": 22, "test": 6})
    config = dataclasses.replace(
        new_config(tmp_path / "kept", image_size=16, validation_examples=8),
        dataset=f"folder:{root}",
    )
    finetuning.run(config)
    expected = outcome(config)
    in_file = dataclasses.replace(
        config, results_dir=str(tmp_path / "mapped"), memory_budget="30KB"
    )
    notes = []
    with faults.after_step(3, 1), pytest.raises(faults.Killed):
        finetuning.run(in_file, notify=notes.append)
    assert any("kept in a temporary file" in note for note in notes)
    in_memory = dataclasses.replace(in_file, memory_budget=None)
    assert finetuning.run(in_memory).resumed_epochs == (2,)
    assert outcome(in_file) == expected
    records = [runs.ConfigRecord.read(one.folder) for one in (config, in_file)]
    assert records[0].requested == records[1].requested
    assert records[0].resolved == records[1].resolved
    assert records[0].data_fingerprint == records[1].data_fingerprint


def test_how_data_were_divided_is_recorded_and_reported(tmp_path, tiny):
    root = photographs(tmp_path / "pets", {".": 20})
    config = dataclasses.replace(
        new_config(tmp_path / "results", epochs=1, test_fraction=0.25, image_size=16),
        dataset=f"folder:{root}",
    )
    notes = []
    finetuning.run(config, notify=notes.append)
    how = "0.25 of each class for testing, drawn with seed 0"
    record = runs.ConfigRecord.read(config.folder)
    assert record.resolved.division == how
    assert record.requested["test_fraction"] == 0.25
    assert f"folder-pets has no test split: {how}" in notes
    other = dataclasses.replace(config, split_seed=1)
    with pytest.raises(errors.UsageError, match=r"split_seed=None there, .*=1 now"):
        finetuning.run(other)
