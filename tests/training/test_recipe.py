"""The recipe by its formulas."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from normtest_tf.training import recipe
from tests.training.helpers import linear_model


def test_the_epoch_cosine_equals_its_formula():
    schedule = recipe.EpochCosine(recipe.Recipe(), steps_per_epoch=3)
    for step in range(150):
        epoch = step // 3
        expected = 1e-3 / 2 * (1 + math.cos(math.pi * epoch / 50))
        assert float(schedule(step)) == pytest.approx(expected, rel=1e-4)
        assert schedule.at_epoch(epoch) == pytest.approx(expected)


def test_tensorflow_keeps_no_variable_of_the_schedule_off_a_gpu():
    created = []

    def watched(make, **options):
        created.append(make(**options))
        return created[-1]

    with tf.variable_creator_scope(watched):
        recipe.EpochCosine(recipe.Recipe(), steps_per_epoch=3)
    assert {variable.dtype for variable in created} == {tf.float32, tf.int64}


def test_the_defaults_are_those_of_the_pytorch_study():
    model = linear_model()
    schedule = recipe.compile_for_training(model, recipe.Recipe(), 50_000)
    assert schedule.steps_per_epoch == 196
    assert [schedule.at_epoch(epoch) for epoch in (0, 25)] == [1e-3, 5e-4]
    adam = model.optimizer
    assert float(adam.learning_rate) == pytest.approx(1e-3)
    assert (adam.beta_1, adam.beta_2, adam.epsilon) == (0.9, 0.999, 1e-8)
    assert not adam.weight_decay


def test_the_warm_up_multiplies_the_cosine_with_a_line_step_by_step():
    chosen = recipe.Recipe(epochs=5, learning_rate=0.1)
    plain = recipe.EpochCosine(chosen, 4)
    warm = recipe.EpochCosine(dataclasses.replace(chosen, warmup_epochs=2), 4)
    for step in range(20):
        expected = float(plain(step)) * min(1, (step + 1) / 8)
        assert float(warm(step)) == pytest.approx(expected, rel=1e-5)
    # An epoch is recorded with the rate of its last step.
    for epoch in range(5):
        last = float(warm(4 * epoch + 3))
        assert warm.at_epoch(epoch) == pytest.approx(last, rel=1e-5)
    again = recipe.EpochCosine.from_config(warm.get_config())
    assert again.at_epoch(0) == warm.at_epoch(0) == pytest.approx(0.05)


def test_sgd_has_momentum_and_no_weight_decay():
    model = linear_model()
    sgd = recipe.Recipe(epochs=3, learning_rate=0.1, optimizer="sgd")
    recipe.compile_for_training(model, sgd, 1000)
    weight = model.trainable_variables[0]
    before = np.array(weight)
    ones = [np.ones(v.shape, "float32") for v in model.trainable_variables]
    for _ in range(2):
        model.optimizer.apply(ones)
    np.testing.assert_allclose(before - weight, 0.1 + 0.1 * 1.9, rtol=1e-5)


def test_adam_equals_pytorchs_formula_also_for_tiny_gradients():
    # With gradients near epsilon the two definitions of epsilon differ most.
    gradients = np.random.default_rng(0).normal(size=(20, 5)) * 1e-7
    variable = keras.Variable(np.ones(5), dtype="float64")
    optimizer = recipe.Adam(1e-3, epsilon=1e-8)
    optimizer.build([variable])
    expected, first, second = np.ones(5), 0, 0
    for step, gradient in enumerate(gradients, start=1):
        optimizer.apply([keras.ops.convert_to_tensor(gradient)])
        # The algorithm box in the documentation of `torch.optim.Adam`.
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        root = np.sqrt(second / (1 - 0.999**step))
        expected -= 1e-3 * first / (1 - 0.9**step) / (root + 1e-8)
    # Keras holds the learning rate as float32.
    np.testing.assert_allclose(variable, expected, rtol=1e-8)
