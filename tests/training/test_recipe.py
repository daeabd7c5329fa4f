import math

import pytest

from normtest_tf import errors
from normtest_tf.training import recipe
from tests.training.helpers import linear_model


def test_the_epoch_cosine_equals_its_formula_and_ends_near_0():
    schedule = recipe.EpochCosine(1e-3, steps_per_epoch=3, epochs=50)
    for step in range(150):
        epoch = step // 3
        expected = 1e-3 / 2 * (1 + math.cos(math.pi * epoch / 50))
        assert float(schedule(step)) == pytest.approx(expected, rel=1e-4)
        assert schedule.at_epoch(epoch) == pytest.approx(expected)
    assert schedule.at_epoch(49) < 1e-6
    again = recipe.EpochCosine.from_config(schedule.get_config())
    assert again.at_epoch(7) == schedule.at_epoch(7)


def test_a_short_last_batch_is_a_step():
    assert recipe.Recipe(batch_size=10).steps_per_epoch(23) == 3
    assert recipe.Recipe(batch_size=10).steps_per_epoch(20) == 2


def test_the_defaults_are_those_of_the_pytorch_study():
    assert recipe.Recipe() == recipe.Recipe(50, 256, 1e-3)
    model = linear_model()
    schedule = recipe.compile_for_training(model, recipe.Recipe(), 50_000)
    assert (schedule.steps_per_epoch, schedule.epochs) == (196, 50)
    optimizer = model.optimizer
    assert float(optimizer.learning_rate) == pytest.approx(1e-3)
    assert (optimizer.beta_1, optimizer.beta_2) == (0.9, 0.999)
    assert optimizer.epsilon == 1e-8
    assert not optimizer.weight_decay


@pytest.mark.parametrize(
    "values", [{"epochs": 0}, {"batch_size": -1}, {"learning_rate": math.nan}]
)
def test_recipes_that_make_no_sense_are_refused(values):
    with pytest.raises(errors.UsageError, match=f"--{next(iter(values))}"):
        recipe.Recipe(**values)
