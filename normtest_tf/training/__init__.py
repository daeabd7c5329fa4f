"""The recipe: Adam, a cosine stepped once per epoch, cross-entropy."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from normtest_tf import errors
from normtest_tf.training import pipeline, pytorch_semantics


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is trained; the defaults are the reference's.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images in a batch; the last one of an epoch may be shorter.
        learning_rate: Of the first epoch; it falls to 0 along a cosine.
    """

    epochs: int = 50
    batch_size: int = 256
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate"):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise errors.UsageError(f"--{name} must be positive. Received: {value}")


@dataclasses.dataclass(frozen=True)
class Split:
    """Images and labels of one split.

    Attributes:
        images: uint8 `[n, height, width, 3]`.
        labels: int `[n]`.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


@dataclasses.dataclass(frozen=True, eq=False)
class State:
    """All that the next epoch depends on besides the recipe and the data.

    Attributes:
        epoch: The number of completed epochs.
        model: The values of the model's variables: weights, running statistics,
            states of random generators.
        optimizer: Those of the optimizer: iterations, moments, loss scale.
    """

    epoch: int
    model: list[np.ndarray]
    optimizer: list[np.ndarray]

    @classmethod
    def of(cls, model: keras.Model, epoch: int) -> State:
        """Copies the state of a model that has been trained for some epochs."""
        return cls(
            epoch,
            [ops.convert_to_numpy(value) for value in _variables(model)],
            [ops.convert_to_numpy(value) for value in model.optimizer.variables],
        )

    def restore(self, model: keras.Model) -> None:
        """Gives a compiled model this state.

        Raises:
            ValueError: If it is another model's.
        """
        for variables, values in (
            (_variables(model), self.model),
            (model.optimizer.variables, self.optimizer),
        ):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)


def _variables(model: keras.Model) -> list[keras.Variable]:
    """Returns a model's variables but its metrics', which an epoch starts anew."""
    metrics = {id(variable) for variable in model.metrics_variables}
    return [variable for variable in model.variables if id(variable) not in metrics]


class EpochCosine(keras.optimizers.schedules.LearningRateSchedule):
    """A cosine from the initial rate to 0 that is stepped once per epoch.

    Epoch e of E has the rate `initial / 2 * (1 + cos(pi * e / E))`, as PyTorch's
    `CosineAnnealingLR(T_max=E)` has it. It depends on the optimizer's iteration
    count alone, so a resumed run can't get it wrong.
    """

    def __init__(self, initial: float, steps_per_epoch: int, epochs: int) -> None:
        self.initial = initial
        self.steps_per_epoch = steps_per_epoch
        self.epochs = epochs

    def __call__(self, step: int | keras.KerasTensor) -> keras.KerasTensor:
        """Returns the learning rate at an iteration, counted from 0."""
        epoch = ops.cast(step // self.steps_per_epoch, keras.config.floatx())
        return self.initial / 2 * (1 + ops.cos(math.pi * epoch / self.epochs))

    def at_epoch(self, epoch: int) -> float:
        """Returns the learning rate of an epoch, counted from 0."""
        return self.initial / 2 * (1 + math.cos(math.pi * epoch / self.epochs))

    def get_config(self) -> dict[str, float]:
        """Returns the constructor's arguments."""
        return {
            "initial": self.initial,
            "steps_per_epoch": self.steps_per_epoch,
            "epochs": self.epochs,
        }


def compile_for_training(
    model: keras.Model, recipe: Recipe, training_examples: int
) -> EpochCosine:
    """Gives a model the recipe's optimizer, loss and accuracy.

    Args:
        model: From raw images to logits.
        recipe: How to train it.
        training_examples: The number of images in an epoch.

    Returns:
        The schedule of the learning rate.
    """
    steps = pipeline.steps_per_epoch(training_examples, recipe.batch_size)
    schedule = EpochCosine(recipe.learning_rate, steps, recipe.epochs)
    model.compile(
        # Keras wraps it with loss scaling where the model computes in float16.
        optimizer=pytorch_semantics.Adam(schedule, epsilon=1e-8),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    # Variables made while the step is traced would outlive it, and its graph too.
    model.optimizer.build(model.trainable_variables)
    return schedule


class LossGuard(keras.callbacks.Callback):
    """Stops training at the first step whose loss is not finite.

    It looks at the mean loss of the epoch so far, which no later step makes finite
    again. Keras fetches that for its callbacks anyway, so looking costs no wait for
    the device. Gradients in float16 may overflow; loss scaling takes care of them.

    Args:
        schedule: Tells the learning rate of an epoch.
    """

    def __init__(self, schedule: EpochCosine) -> None:
        super().__init__()
        self._schedule = schedule
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Remembers the epoch, counted from 0."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Looks at the loss of the step."""
        self.check("train_loss", logs["loss"], step=batch + 1)

    def check(self, name: str, loss: float, step: int | None = None) -> None:
        """Raises `TrainingFailed` if a loss is not finite; the last step by default."""
        if not math.isfinite(loss):
            raise errors.TrainingFailed(
                name,
                epoch=self._epoch + 1,
                step=step or self._schedule.steps_per_epoch,
                rate=self._schedule.at_epoch(self._epoch),
            )


class EpochRecorder(keras.callbacks.Callback):
    """Evaluates after every epoch and hands the epoch's row to a function.

    Args:
        schedule: Tells the learning rate of an epoch.
        guard: Looks at the losses of the evaluations.
        training_examples: The number of images in an epoch.
        evaluations: What to evaluate on and the number of its examples, by the
            prefix of its columns.
        on_row: Called with each epoch's row: `epoch` (from 1), `learning_rate`,
            `train_loss`, `train_accuracy`, loss and accuracy of each evaluation,
            `seconds` and `images_per_second` of training without evaluation.
    """

    def __init__(
        self,
        schedule: EpochCosine,
        guard: LossGuard,
        training_examples: int,
        evaluations: dict[str, tuple[tf.data.Dataset, int]],
        on_row: Callable[[dict[str, float]], None],
    ) -> None:
        super().__init__()
        self._schedule = schedule
        self._guard = guard
        self._training_examples = training_examples
        self._evaluations = evaluations
        self._on_row = on_row
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clock."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Evaluates and reports the epoch."""
        seconds = time.perf_counter() - self._started
        row = {
            "epoch": epoch + 1,
            "learning_rate": self._schedule.at_epoch(epoch),
            "train_loss": float(logs["loss"]),
            "train_accuracy": _exact(logs["accuracy"], self._training_examples),
        }
        for prefix, (batches, examples) in self._evaluations.items():
            loss, accuracy = evaluate(self.model, batches, examples)
            self._guard.check(f"{prefix}_loss", loss)
            row[f"{prefix}_loss"] = loss
            row[f"{prefix}_accuracy"] = accuracy
        row["seconds"] = seconds
        row["images_per_second"] = self._training_examples / seconds
        self._on_row(row)


def evaluate(
    model: keras.Model, batches: tf.data.Dataset, examples: int
) -> tuple[float, float]:
    """Returns a model's mean loss and top-1 accuracy over exactly all examples.

    Args:
        model: Compiled by `compile_for_training`.
        batches: From `pipeline.evaluation_batches`.
        examples: The number of examples in them.

    Returns:
        Cross-entropy in nats and accuracy from 0 to 1.
    """
    values = model.evaluate(batches, verbose=0, return_dict=True)
    return float(values["loss"]), _exact(values["accuracy"], examples)


def _exact(accuracy: float, examples: int) -> float:
    """Turns Keras's float32 quotient back into a count over all examples."""
    return round(float(accuracy) * examples) / examples


def fit(
    model: keras.Model,
    recipe: Recipe,
    train: Split,
    evaluations: dict[str, Split],
    *,
    data_seed: int,
    on_row: Callable[[dict[str, float]], None],
    callbacks: list[keras.callbacks.Callback] | None = None,
    state: State | None = None,
) -> None:
    """Trains every layer of a model by the recipe.

    Args:
        model: From raw uint8 images to float32 logits. Its batch normalization
            should be `pytorch_semantics.BatchNormalization` where PyTorch's
            running variance matters.
        recipe: How to train it.
        train: What to train on.
        evaluations: What to evaluate on after every epoch, by the prefix of the
            columns: `test` and, if there is one, `validation`.
        data_seed: Decides the order of examples and their augmentation.
        on_row: Called with each epoch's row; see `EpochRecorder`.
        callbacks: Further Keras callbacks.
        state: What to go on from. Default: from the model as it is.

    Raises:
        TrainingFailed: If a loss is not finite.
        ValueError: If the state is another model's.
    """
    schedule = compile_for_training(model, recipe, len(train))
    if state:
        state.restore(model)
    first_epoch = state.epoch if state else 0
    if first_epoch == recipe.epochs:
        return
    batches = pipeline.training_batches(
        train.images,
        train.labels,
        batch_size=recipe.batch_size,
        seed=data_seed,
        epochs=recipe.epochs,
        first_epoch=first_epoch,
    )
    guard = LossGuard(schedule)
    recorder = EpochRecorder(
        schedule,
        guard,
        len(train),
        {
            prefix: (
                pipeline.evaluation_batches(
                    split.images, split.labels, recipe.batch_size
                ),
                len(split),
            )
            for prefix, split in evaluations.items()
        },
        on_row,
    )
    model.fit(
        batches,
        initial_epoch=first_epoch,
        epochs=recipe.epochs,
        steps_per_epoch=schedule.steps_per_epoch,
        shuffle=False,  # The pipeline has shuffled already.
        callbacks=[guard, recorder, *(callbacks or [])],
        verbose=0,
    )
