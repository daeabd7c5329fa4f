"""Several steps in one call do what as many calls do."""

import numpy as np
import pytest

from normtest_tf import errors
from normtest_tf.training import (
    choices,
    loop,
    pipeline,
    several_steps,
    stacks,
    training_copy,
)
from normtest_tf.training.recipe import Recipe
from tests.helpers import backend_training

EXAMPLES = backend_training.EXAMPLES


def test_an_epoch_is_stacked_without_its_neighbours():
    assert stacks.shapes(22, 4, 2) == [(2, 4), (2, 4), (1, 4), (1, 2)]
    assert stacks.shapes(16, 4, 2) == [(2, 4), (2, 4)]
    assert stacks.shapes(3, 4, 2) == [(1, 3)]
    assert stacks.shapes(22, 4) == [(1, 4)] * 5 + [(1, 2)]


@pytest.mark.parametrize("steps", [2, 3, 10])
def test_stacks_hold_the_very_batches(steps):
    split = backend_training.split()

    def batches(**options):
        return pipeline.training_batches(
            split.images,
            split.labels,
            batch_size=6,
            seed=3,
            epochs=range(1, 3),
            augmentation=choices.PAD_CROP_FLIP,
            **options,
        ).as_numpy_iterator()

    stacked = list(batches(steps_per_execution=steps))
    shapes = stacks.shapes(EXAMPLES, 6, steps) * 2
    assert [labels.shape for _, labels in stacked] == shapes
    unstacked = [pair for stack in stacked for pair in zip(*stack, strict=True)]
    for (x, y), (plain_x, plain_y) in zip(unstacked, batches(), strict=True):
        np.testing.assert_array_equal(x, plain_x)
        np.testing.assert_array_equal(y, plain_y)


def train(steps, on_row=lambda row: None, **options):
    recipe = Recipe(
        epochs=2, batch_size=6, steps_per_execution=steps, **options.pop("recipe", {})
    )
    data = loop.TrainingData(
        backend_training.split(), {"test": backend_training.split()}, seed=5
    )
    model = several_steps.make(backend_training.model_to_train(), steps)
    loop.fit(model, recipe, data, on_row, **options)
    return model


@pytest.mark.parametrize("steps", [3, 7])
def test_several_steps_in_a_call_train_as_one_by_one(steps):
    rows, expected_rows = [], []
    model, expected = train(steps, rows.append), train(1, expected_rows.append)
    for ours, theirs in zip(
        loop.TrainingState.capture(model, 2).model,
        loop.TrainingState.capture(expected, 2).model,
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    assert int(model.optimizer.iterations) == 2 * 7
    for row, expected_row in zip(rows, expected_rows, strict=True):
        for name in ("train_loss", "train_accuracy", "test_loss", "learning_rate"):
            assert row[name] == pytest.approx(expected_row[name], rel=1e-6)


def test_a_run_resumes_within_stacks():
    states = {}
    whole = train(3, lambda row: states.update({row["epoch"]: row}))
    first = {}

    def stop(row):
        first[row["epoch"]] = row

    # A model trained for the first epoch alone, with the schedule of both.
    half = several_steps.make(backend_training.model_to_train(), 3)
    captured = []
    data = loop.TrainingData(
        backend_training.split(), {"test": backend_training.split()}, seed=5
    )
    loop.fit(
        half,
        Recipe(epochs=2, batch_size=6, steps_per_execution=3),
        data,
        lambda row: captured.append(loop.TrainingState.capture(half, row["epoch"])),
    )
    resumed = train(3, stop, state=captured[0])
    assert list(first) == [2]
    for ours, theirs in zip(
        loop.TrainingState.capture(resumed, 2).model,
        loop.TrainingState.capture(whole, 2).model,
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_one_step_a_call_leaves_a_model_as_it_is():
    model = training_copy.make(backend_training.model_to_train())
    assert several_steps.make(model, 1) is model


def test_a_loss_that_is_not_finite_names_the_last_step_of_its_call():
    with pytest.raises(errors.TrainingFailed, match="at step 3 of epoch 1"):
        train(3, recipe={"learning_rate": 1e30})
