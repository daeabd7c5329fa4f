"""The training: epochs, evaluations, progress, and the state to resume from."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import scipy.special
import tensorflow as tf
from keras import ops
from tqdm import tqdm

from normtest_tf import errors
from normtest_tf.text import Notify
from normtest_tf.training import (
    EpochRow,
    choices,
    classifier,
    environment,
    pipeline,
)
from normtest_tf.training.recipe import EpochCosine, Recipe, compile_for_training

# In a batch to evaluate: small images are faster in batches larger than training's.
EVALUATED_PIXELS = 256 * 32 * 32
LEAD = 16  # Steps that the host runs ahead of a GPU before it reads their losses.


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
        data: pipeline.TrainingData,
        batch_size: int,
        on_row: Callable[[EpochRow], None],
        on_evaluation: Callable[[str, Evaluation], None],
    ) -> None:
        super().__init__()
        self._guard = guard
        self._data = data
        self._batches = {
            prefix: batches_to_evaluate(split, batch_size)
            for prefix, split in data.evaluations.items()
        }
        self._on_row = on_row
        self._on_evaluation = on_evaluation
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        optimizer = self.model.optimizer
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            # It does not count the steps that it skips, and the schedule would lag. So
            # Adam counts them as well.
            optimizer.iterations.assign(epoch * self._guard.schedule.steps_per_epoch)
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


def batches_to_evaluate(split: pipeline.Split, batch_size: int) -> tf.data.Dataset:
    """Returns batches to evaluate, of at least the training's size."""
    size = _evaluated_together(split, batch_size) * batch_size
    return pipeline.evaluation_batches(split, size)


def _evaluated_together(split: pipeline.Split, batch_size: int) -> int:
    """Returns how many batches are evaluated as one, which devices can divide."""
    pixels = batch_size * math.prod(split.images.shape[1:3])
    return max(1, EVALUATED_PIXELS // pixels)


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
    data: pipeline.TrainingData,
    on_row: Callable[[EpochRow], None],
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    state: TrainingState | None = None,
    on_evaluation: Callable[[str, Evaluation], None] = lambda prefix, found: None,
    on_features: bool = False,
) -> None:
    """Trains a model of raw images, from a state or as it is.

    With `on_features` its last layer alone is trained and evaluated, on what the layers
    before it, frozen, make of the images.

    Callbacks are called before an epoch is evaluated, then `on_evaluation` with the
    prefix of each evaluation's columns, and `on_row` last. Raises `TrainingFailed` if a
    loss is not finite, ValueError if the state is another model's.
    """
    body, trained = classifier.divide(model) if on_features else (None, model)
    with environment.scope_of(model):
        schedule = compile_for_training(trained, recipe, len(data.train))
    model.optimizer = trained.optimizer
    if state:
        state.restore(model)
    first_epoch = state.epoch if state else 0
    if first_epoch == recipe.epochs:
        return
    epochs = range(first_epoch, recipe.epochs)
    if body is not None:
        data, batches = _features(body, data, recipe.batch_size, epochs)
    else:
        batches = pipeline.training_batches(data, recipe.batch_size, epochs)
    guard = LossGuard(schedule, LEAD if environment.gpus() else 0)
    evaluator = _Evaluator(guard, data, recipe.batch_size, on_row, on_evaluation)
    trained.fit(
        batches,
        initial_epoch=first_epoch,
        epochs=recipe.epochs,
        steps_per_epoch=schedule.steps_per_epoch,
        shuffle=False,  # The pipeline has shuffled already.
        callbacks=_Callbacks(
            [guard, *callbacks, evaluator],
            add_history=True,
            model=trained,
            epochs=recipe.epochs,
            steps=schedule.steps_per_epoch,
        ),
        verbose=0,
    )


def _features(
    body: keras.Model, data: pipeline.TrainingData, batch_size: int, epochs: range
) -> tuple[pipeline.TrainingData, tf.data.Dataset]:
    """Returns data and batches with the frozen layers' float32 features for images.

    It is computed once for images that don't vary, and of several batches at a time.
    """

    def of(split: pipeline.Split) -> pipeline.Split:
        batches = batches_to_evaluate(split, batch_size)
        found = body.predict(batches, verbose=0).astype(np.float32)
        return dataclasses.replace(split, images=found)

    evaluations = {name: of(split) for name, split in data.evaluations.items()}
    found = dataclasses.replace(data, evaluations=evaluations)
    if data.augmentation == choices.NONE:
        found = dataclasses.replace(found, train=of(data.train))
        return found, pipeline.training_batches(found, batch_size, epochs)

    def sizes(batch: int) -> list[int]:  # Of an epoch's batches, also if it is resumed.
        whole, rest = divmod(len(data.train), batch)
        return [batch] * whole + [rest] * bool(rest)

    large = sizes(_evaluated_together(data.train, batch_size) * batch_size)
    images = pipeline.training_batches(data, batch_size, epochs).rebatch(large)

    def features() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for pixels, labels in images.as_numpy_iterator():
            yield body.predict_on_batch(pixels).astype(np.float32), labels

    shape = (None, *body.output_shape[1:])
    signature = (tf.TensorSpec(shape), tf.TensorSpec([None], tf.int32))
    batches = tf.data.Dataset.from_generator(features, output_signature=signature)
    # Not in advance: a thread that runs Python would abort a process that ends.
    return found, batches.rebatch(sizes(batch_size)).with_options(pipeline.untuned())


class Progress(keras.callbacks.Callback):
    """Shows a progress bar over all epochs, on a terminal only."""

    def __init__(
        self, title: str, recipe: Recipe, examples: int, first_epoch: int = 0
    ) -> None:
        super().__init__()
        self._recipe = recipe
        self._examples = examples
        self._first_epoch = first_epoch
        self._started = 0.0
        self._bar = tqdm(
            desc=title,
            total=examples * recipe.epochs,
            initial=examples * first_epoch,
            unit=" images",
            unit_scale=True,
            smoothing=0.05,
            # None: disabled unless stderr is a terminal.
            disable=True if os.environ.get("TQDM_DISABLE") else None,
            leave=False,
        )

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Starts the clock."""
        self._started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Advances the bar by a batch, of which the last may be short."""
        size = self._recipe.batch_size
        self._bar.update(min(size, self._examples - batch * size))

    def close(self, logs: dict | None = None) -> None:
        """Removes the bar, even if training failed."""
        self._bar.close()

    on_train_end = close

    def show(self, row: EpochRow, notify: Notify) -> None:
        """Reports one epoch's row of the history as a line of text."""
        epoch, epochs = int(row["epoch"]), self._recipe.epochs
        elapsed = time.perf_counter() - self._started
        left = elapsed / (epoch - self._first_epoch) * (epochs - epoch)
        parts = [f"epoch {epoch:{len(str(epochs))}}/{epochs}"]
        parts += [
            f"{name.removesuffix('_accuracy')} {row[name]:.2%}"
            for name in row
            if name.endswith("_accuracy")
        ]
        parts += [
            f"loss {row['train_loss']:.3f}",
            f"{row['images_per_second']:,.0f} images/s",
            f"{tqdm.format_interval(left)} left",
        ]
        with tqdm.external_write_mode():  # Keeps the bar from garbling the line.
            notify("  ".join(parts))
