"""Runs on images that are decoded again in every epoch: the same as in memory."""

import dataclasses

import numpy as np
import pytest

from normtest_tf import datasets, errors, runs
from normtest_tf.runs import finetuning
from tests.datasets import helpers
from tests.helpers import faults
from tests.helpers.tiny_runs import EPOCHS, new_config, outcome

BUDGET = "30KB"  # Of 43.


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Images of several sizes: 44 to train on and 12 to test on."""
    root = tmp_path_factory.mktemp("data") / "photos"
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        for index in range(28):
            size = tuple(random.integers(9, 20, 2))
            split = "train" if index < 22 else "test"
            helpers.write_random(root / split / name / f"{index}.png", size, random)
    return root


@pytest.fixture
def photo_config(photographs, tmp_path, tiny):
    return dataclasses.replace(
        new_config(tmp_path, image_size=16, validation_examples=8),
        dataset=f"folder:{photographs}",
    )


def test_a_run_ends_the_same_streamed_killed_and_resumed(photo_config, tmp_path):
    finetuning.run(photo_config)
    expected = outcome(photo_config)
    streamed = dataclasses.replace(
        photo_config, results_dir=str(tmp_path / "streamed"), memory_budget=BUDGET
    )
    notes = []
    with faults.after_step(3, 1), pytest.raises(faults.Killed):
        finetuning.run(streamed, notify=notes.append)
    assert any("decoded again in every epoch" in note for note in notes)
    assert finetuning.run(streamed).resumed_epochs == (2,)
    assert outcome(streamed) == expected
    records = [
        runs.ConfigRecord.read(config.folder) for config in (photo_config, streamed)
    ]
    assert records[0].requested == records[1].requested
    assert records[0].resolved == records[1].resolved
    assert records[0].data_fingerprint == records[1].data_fingerprint


def test_a_run_may_begin_in_memory_and_end_streamed(photo_config, tmp_path):
    config = dataclasses.replace(photo_config, results_dir=str(tmp_path / "both"))
    with faults.after_step(2, 1), pytest.raises(faults.Killed):
        finetuning.run(config)
    streamed = dataclasses.replace(config, memory_budget=BUDGET)
    result = finetuning.run(streamed)
    assert result.resumed_epochs == (1,)
    assert finetuning.run(config) == result


def test_an_image_that_vanishes_during_a_run_is_named(photo_config, photographs):
    victim = photographs / "test" / "cat" / "25.png"
    content = victim.read_bytes()
    streamed = dataclasses.replace(photo_config, memory_budget=BUDGET)
    try:
        with (
            faults.after_step(1, 1, then=lambda: victim.unlink(missing_ok=True)),
            pytest.raises(errors.UsageError, match=r"25.png can't be read"),
        ):
            finetuning.run(streamed)
    finally:
        victim.write_bytes(content)
    assert finetuning.run(streamed).final_epoch == EPOCHS


def test_a_budget_below_a_batch_is_refused_before_anything_is_written(photo_config):
    config = dataclasses.replace(photo_config, memory_budget="20KB")
    with pytest.raises(errors.UsageError, match=r"does not hold a batch of 32 images"):
        finetuning.run(config)
    assert not config.folder.config.exists()


def test_how_data_were_divided_is_recorded_and_told(tmp_path, tiny):
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        for index in range(20):
            path = tmp_path / "pets" / name / f"{index}.png"
            helpers.write_random(path, (16, 16), random)
    config = dataclasses.replace(
        new_config(tmp_path / "results", epochs=1, test_fraction=0.25),
        dataset=f"folder:{tmp_path / 'pets'}",
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


def test_sets_of_any_kind_have_a_folder_of_their_own(tmp_path):
    config = dataclasses.replace(new_config(tmp_path), dataset="tfds:eurosat/rgb")
    assert str(config.name) == "tfds-eurosat-rgb/cifar_resnet8-finetune/seed-223"
    assert config.resolved.requested["dataset"] == "tfds-eurosat-rgb"
    assert "memory_budget" not in config.resolved.requested
    assert config.reading == datasets.ReadingOptions(batch_size=32)
