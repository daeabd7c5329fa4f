"""What the loop reports, resumes from, and stops at."""

import time

import keras
import numpy as np
import pytest

from normtest_tf import errors
from normtest_tf.training import loop, pipeline
from normtest_tf.training.recipe import EpochCosine, Recipe
from normtest_tf.training.training_copy import BatchNormalization
from tests.training.helpers import SPLIT, linear_model


def fit(model, epochs=2, evaluations=("test",), on_row=lambda row: None, **options):
    recipe = Recipe(epochs, batch_size=8, learning_rate=options.pop("rate", 1e-3))
    data = pipeline.TrainingData(SPLIT, dict.fromkeys(evaluations, SPLIT), seed=9)
    loop.fit(model, recipe, data, on_row, **options)


class Rates(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append(float(self.model.optimizer.learning_rate))


def test_fit_uses_the_rate_of_each_epoch_and_reports_it():
    rates, rows = Rates(), []
    options = {"evaluations": ("test", "validation"), "callbacks": [rates], "rate": 0.1}
    fit(linear_model(), on_row=rows.append, **options)
    assert rates.seen == pytest.approx([0.1] * 3 + [0.05] * 3)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.1, 0.05])
    names = (
        "epoch learning_rate train_loss train_accuracy test_loss test_accuracy "
        "validation_loss validation_accuracy seconds images_per_second"
    )
    assert list(rows[0]) == names.split()


def test_evaluate_counts_every_example_once():
    model = linear_model()
    batches = pipeline.evaluation_batches(SPLIT, 8)
    found = loop.evaluate(model, batches, SPLIT.labels)
    logits = model.predict(SPLIT.images, verbose=0).astype("float64")
    log_sums = np.log(np.exp(logits).sum(axis=1))
    losses = log_sums - logits[np.arange(20), SPLIT.labels]
    assert found.loss == pytest.approx(losses.mean(), rel=1e-12)
    assert found.accuracy == (logits.argmax(1) == SPLIT.labels).mean()
    np.testing.assert_array_equal(found.classes, logits.argmax(1))


@pytest.mark.parametrize(
    ("shape", "batch_size", "expected"),
    [((32, 32, 3), 64, 256), ((32, 32, 3), 96, 192), ((64, 64, 3), 300, 300)],
)
def test_small_images_are_evaluated_in_multiples_of_the_batch_size(
    shape, batch_size, expected
):
    split = pipeline.Split(np.zeros([400, *shape], np.uint8), np.zeros(400, int))
    images, _ = next(iter(loop.batches_to_evaluate(split, batch_size)))
    assert len(images) == expected


def small_model(policy):
    """Returns a model with all that a state has to hold."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((32, 32, 3), dtype="uint8"),
        keras.layers.Rescaling(1 / 255, dtype=policy),
        keras.layers.Conv2D(3, 5, strides=4, dtype=policy),
        BatchNormalization(dtype=policy),
        keras.layers.GlobalAveragePooling2D(dtype=policy),
        keras.layers.Dropout(0.5, seed=1, dtype=policy),
        keras.layers.Dense(4),
    ]
    return keras.Sequential(layers)


def test_the_rate_falls_though_steps_are_skipped(monkeypatch):
    class Overflowing(keras.optimizers.LossScaleOptimizer):
        def __init__(self, inner):
            super().__init__(inner, initial_scale=2.0**60)

    monkeypatch.setattr(keras.optimizers, "LossScaleOptimizer", Overflowing)
    rates, model = Rates(), small_model("mixed_float16")
    before = model.get_weights()[0]
    fit(model, callbacks=[rates], rate=0.1)
    assert rates.seen == pytest.approx([0.1] * 3 + [0.05] * 3)
    np.testing.assert_array_equal(model.get_weights()[0], before)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_training_in_two_parts_equals_training_at_once(policy):
    states, rows = {}, []
    whole = small_model(policy)

    def remember(row):
        rows.append(row)
        states[row["epoch"]] = loop.TrainingState.capture(whole, row["epoch"])

    def finish(model, state):
        fit(model, epochs=3, on_row=rows.append, state=state)
        return loop.TrainingState.capture(model, 3)

    fit(whole, epochs=3, on_row=remember)
    at_once = loop.TrainingState.capture(whole, 3)
    finish(small_model(policy), states[3])
    assert len(rows) == 3
    scales = hasattr(whole.optimizer, "inner_optimizer")
    assert scales == (policy == "mixed_float16")
    in_parts = finish(small_model(policy), states[1])
    assert [row["epoch"] for row in rows] == [1, 2, 3, 2, 3]
    for name in ("learning_rate", "train_loss", "test_loss"):
        assert [row[name] for row in rows[1:3]] == [row[name] for row in rows[3:]]
    for name in ("model", "optimizer"):
        one, other = getattr(at_once, name), getattr(in_parts, name)
        assert [x.tobytes() for x in one] == [x.tobytes() for x in other]


SCHEDULE = EpochCosine(Recipe(epochs=4, learning_rate=0.1), 9)


def losses_read(guard, losses):
    """Gives a guard the losses of an epoch; returns how many it reads by each step."""
    read = []

    class OnDevice(float):
        def __float__(self):
            read.append(self)
            return super().__float__()

    counts = []
    for step, loss in enumerate(losses):
        guard.on_train_batch_end(step, {"loss": OnDevice(loss)})
        counts.append(len(read))
    guard.on_epoch_end(0)
    return [*counts, len(read)]


def test_the_last_losses_are_left_on_the_device_until_the_epoch_ends():
    guard = loop.LossGuard(SCHEDULE, lead=2)
    guard.on_epoch_begin(0)
    # One of a group is enough: a mean that is not finite stays so.
    assert losses_read(guard, [1.0] * 9) == [0, 0, 0, 0, 1, 1, 1, 2, 2, 3]
    guard.on_epoch_begin(1)
    assert losses_read(guard, [1.0] * 2) == [0, 0, 1]
    with pytest.raises(errors.TrainingFailed, match=r"test_loss .*step 9 of epoch 2"):
        guard.check("test_loss", float("inf"))


@pytest.mark.parametrize("lead", [0, 2])
@pytest.mark.parametrize("step", range(1, 10))
def test_the_first_step_whose_loss_is_not_finite_is_named(step, lead):
    guard = loop.LossGuard(SCHEDULE, lead)
    guard.on_epoch_begin(0)
    losses = [1.0] * (step - 1) + [float("nan")] * (10 - step)
    with pytest.raises(errors.TrainingFailed, match=rf"step {step} of epoch 1"):
        losses_read(guard, losses)


def test_callbacks_get_tensors_and_their_work_after_an_epoch_is_not_its_time():
    rows, seen = [], []

    class Slow(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(keras.ops.is_tensor(logs["loss"]))

        def on_epoch_end(self, epoch, logs=None):
            time.sleep(0.5)

    fit(linear_model(), on_row=rows.append, callbacks=[Slow()])
    assert rows[1]["seconds"] < 0.5  # The first epoch's includes tracing.
    assert seen == [True] * 6
