"""The training loop: epochs, evaluations, and the state to resume from."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import scipy.special
import tensorflow as tf
from keras import ops

from normtest_tf import errors
from normtest_tf.datasets import Images
from normtest_tf.training import EpochRow, choices, devices, environment, pipeline
from normtest_tf.training.recipe import EpochCosine, Recipe, compile_for_training

LEAD = 16  # Steps that the host runs ahead of a GPU before it reads their losses.


@dataclasses.dataclass(frozen=True)
class Split:
    """Images and labels of one split."""

    images: Images  # uint8 [n, height, width, 3], in memory or not.
    labels: np.ndarray  # int [n].

    def __len__(self) -> int:
        return len(self.images)


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """What a model is trained and evaluated on."""

    train: Split
    # By the prefix of their columns in the history: `test`, perhaps `validation`.
    evaluations: Mapping[str, Split]
    seed: int  # Determines the order of examples and their augmentation.
    augmentation: str = choices.PAD_CROP_FLIP


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """What a model makes of the images of a split."""

    loss: float  # The mean cross-entropy in nats.
    accuracy: float  # Top-1, from 0 to 1.
    classes: np.ndarray  # The predicted class of each image, uint16 [n].


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingState:
    """All that the next epoch depends on apart from the recipe and the data."""

    epoch: int  # The number of completed epochs.
    model: list[np.ndarray]  # Weights, running statistics, random generators' states.
    optimizer: list[np.ndarray]  # Iterations, moments, loss scale.

    @classmethod
    def capture(cls, model: keras.Model, epoch: int) -> TrainingState:
        """Copies the state of a model after some epochs."""
        return cls(
            epoch,
            [ops.convert_to_numpy(value) for value in _variables(model)],
            [ops.convert_to_numpy(value) for value in model.optimizer.variables],
        )

    def restore(self, model: keras.Model) -> None:
        """Puts a compiled model into this state; raises ValueError if it can't be."""
        for variables, values in (
            (_variables(model), self.model),
            (model.optimizer.variables, self.optimizer),
        ):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)


def _variables(model: keras.Model) -> list[keras.Variable]:
    """Returns a model's variables without its metrics', which every epoch resets."""
    metrics = {id(variable) for variable in model.metrics_variables}
    return [variable for variable in model.variables if id(variable) not in metrics]


class LossGuard(keras.callbacks.Callback):
    """Stops training soon after the first step whose loss is not finite, and names it.

    It looks at the mean loss of the epoch so far, which no later step makes finite
    again. Reading a loss waits for its step, so the losses of the last `lead` steps, or
    up to twice as many, are left on the device, which keeps it busy. Gradients in
    float16 may overflow; loss scaling handles them.
    """

    def __init__(self, schedule: EpochCosine, lead: int = 0) -> None:
        super().__init__()
        self.schedule = schedule
        self._lead = lead
        self.finished = 0.0  # When the device had finished the last epoch's steps.
        self._epoch = 0
        self._unchecked: list[tuple[int, float | keras.KerasTensor]] = []

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts an epoch, counted from 0."""
        self._epoch = epoch
        self._unchecked.clear()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Checks older losses when there are enough."""
        self._unchecked.append((batch + 1, (logs or {})["loss"]))
        if len(self._unchecked) > 2 * self._lead:
            self._check_first(len(self._unchecked) - self._lead)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Checks the losses that are left, and thus waits for the last step."""
        self._check_first(len(self._unchecked))
        self.finished = time.perf_counter()

    def _check_first(self, count: int) -> None:
        steps, self._unchecked = self._unchecked[:count], self._unchecked[count:]
        if steps and not math.isfinite(float(steps[-1][1])):
            for step, loss in steps:
                self.check("train_loss", float(loss), step)

    def check_variables(self) -> None:
        """Raises `TrainingFailed` if a variable of the model is not finite."""
        # A loss may hide it: kernels that join batch normalization and ReLU turn NaN
        # into 0.
        for variable in _variables(self.model):
            if not np.isfinite(ops.convert_to_numpy(variable)).all():
                self.check(variable.path, math.nan)

    def check(self, name: str, loss: float, step: int | None = None) -> None:
        """Raises `TrainingFailed` if a value is not finite; a step counts from 1."""
        if not math.isfinite(loss):
            raise errors.TrainingFailed(
                name,
                epoch=self._epoch + 1,
                step=step or self.schedule.steps_per_epoch,
                rate=self.schedule.at_epoch(self._epoch),
            )


class _Evaluator(keras.callbacks.Callback):
    """Evaluates after every epoch and reports the epoch's row, as `fit` describes."""

    def __init__(
        self,
        guard: LossGuard,
        data: TrainingData,
        batch_size: int,
        on_row: Callable[[EpochRow], None],
        on_evaluation: Callable[[str, Evaluation], None],
    ) -> None:
        super().__init__()
        self._guard = guard
        self._data = data
        self._batches = {
            prefix: pipeline.evaluation_batches(split.images, split.labels, batch_size)
            for prefix, split in data.evaluations.items()
        }
        self._on_row = on_row
        self._on_evaluation = on_evaluation
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        # Not the time of callbacks that do their work after an epoch.
        seconds = self._guard.finished - self._started
        self._guard.check_variables()
        logs, examples = logs or {}, len(self._data.train)
        row: EpochRow = {
            "epoch": epoch + 1,
            "learning_rate": self._guard.schedule.at_epoch(epoch),
            "train_loss": float(logs["loss"]),
            # Rounds to the nearest k / n, undoing float32 error.
            "train_accuracy": round(float(logs["accuracy"]) * examples) / examples,
        }
        for prefix, split in self._data.evaluations.items():
            found = evaluate(self.model, self._batches[prefix], split.labels)
            self._guard.check(f"{prefix}_loss", found.loss)
            row[f"{prefix}_loss"] = found.loss
            row[f"{prefix}_accuracy"] = found.accuracy
            self._on_evaluation(prefix, found)
        row |= {"seconds": seconds, "images_per_second": examples / seconds}
        self._on_row(row)


class _Callbacks(keras.callbacks.CallbackList):
    """Passes logs on as device tensors; Keras's list waits for each step's values."""

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        for callback in self.callbacks:
            callback.on_train_batch_end(batch, logs)


def evaluate(
    model: keras.Model, batches: tf.data.Dataset, labels: np.ndarray
) -> Evaluation:
    """Evaluates a model on all batches from `pipeline.evaluation_batches`."""
    logits = model.predict(batches, verbose=0).astype(np.float64)
    with np.errstate(all="ignore"):  # The caller looks for a loss that isn't finite.
        losses = scipy.special.logsumexp(logits, axis=1)
        losses -= logits[np.arange(len(labels)), labels]
    classes = logits.argmax(axis=1)
    return Evaluation(
        float(losses.mean()),
        int((classes == labels).sum()) / len(labels),
        classes.astype(np.uint16),
    )


def fit(
    model: keras.Model,
    recipe: Recipe,
    data: TrainingData,
    on_row: Callable[[EpochRow], None],
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    state: TrainingState | None = None,
    on_evaluation: Callable[[str, Evaluation], None] = lambda prefix, found: None,
) -> None:
    """Trains a model of raw images, from a state or as it is.

    Callbacks are called before an epoch is evaluated, then `on_evaluation` with the
    prefix of each evaluation's columns, and `on_row` last. Raises `TrainingFailed` if a
    loss is not finite, ValueError if the state is another model's.
    """
    with devices.scope_of(model):
        schedule = compile_for_training(model, recipe, len(data.train))
    if state:
        state.restore(model)
    first_epoch = state.epoch if state else 0
    if first_epoch == recipe.epochs:
        return
    guard = LossGuard(schedule, LEAD if environment.gpus() else 0)
    evaluator = _Evaluator(guard, data, recipe.batch_size, on_row, on_evaluation)
    batches = pipeline.training_batches(
        data.train.images,
        data.train.labels,
        batch_size=recipe.batch_size,
        seed=data.seed,
        epochs=range(first_epoch, recipe.epochs),
        augmentation=data.augmentation,
    )
    model.fit(
        batches,
        initial_epoch=first_epoch,
        epochs=recipe.epochs,
        steps_per_epoch=schedule.steps_per_epoch,
        shuffle=False,  # The pipeline has shuffled already.
        callbacks=_Callbacks(
            [guard, *callbacks, evaluator],
            add_history=True,
            model=model,
            epochs=recipe.epochs,
            steps=schedule.steps_per_epoch,
        ),
        verbose=0,
    )
