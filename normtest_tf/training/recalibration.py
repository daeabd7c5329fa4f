"""Batch normalization's running statistics, estimated again on the images at hand.

Known as AdaBN: Li et al., "Revisiting Batch Normalization For Practical Domain
Adaptation" (2016), arXiv:1603.04779. The images pass through the network once, batch by
batch. Each layer normalises with the batch's own statistics, as in training, and the
running ones become the mean over all batches, weighted by their sizes; what they were
before is forgotten. With batches of one size this is PyTorch's `momentum=None`.
Variances are unbiased, as PyTorch's and those of `training_copy` are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import keras
import numpy as np

from normtest_tf.training import choices, loop, pipeline, regimes
from normtest_tf.training.recipe import Recipe
from normtest_tf.training.training_copy import BatchNormalization


class _Accumulating(BatchNormalization):
    """Normalises with the batch's statistics in every mode."""

    def call(
        self,
        inputs: keras.KerasTensor,
        training: bool | None = None,
        mask: keras.KerasTensor | None = None,
    ) -> keras.KerasTensor:
        return super().call(inputs, training=True, mask=mask)


def recalibrate(model: keras.Model, batches: Iterable[np.ndarray]) -> None:
    """Replaces the running statistics of a model's batch normalization.

    Dropout is off, and nothing else in the model changes.

    Args:
        model: A functional or sequential model, perhaps with models among its layers.
        batches: At least one batch of its inputs, such as uint8
            `[b, height, width, 3]`.

    Example:
        ```python
        recalibrate(model, np.array_split(images, 10))
        ```
    """
    copy = keras.models.clone_model(model, clone_function=_clone, recursive=True)
    copy.set_weights(model.get_weights())
    layers = list(regimes.batch_normalizations(copy))
    # A variable, since a compiled function would keep the first batch's number; but
    # none of the layers', whose weights are those of the model.
    momentum = keras.Variable(0.0, trainable=False, name="momentum")
    for layer in layers:
        object.__setattr__(layer, "momentum", momentum)
    step = _compiled(copy)
    seen = 0
    for batch in batches:
        momentum.assign(seen / (seen + len(batch)))
        step(batch)
        seen += len(batch)
    if not seen:
        raise ValueError("there must be at least one batch. Received: none")
    for own, found in zip(regimes.batch_normalizations(model), layers, strict=True):
        own.moving_mean.assign(found.moving_mean)
        own.moving_variance.assign(found.moving_variance)


def _compiled(model: keras.Model) -> Callable[[np.ndarray], object]:
    """Returns the model in evaluation mode, as one graph where that is possible."""

    def step(batch: np.ndarray) -> object:
        return model(batch, training=False)

    if keras.backend.backend() != "tensorflow":
        return step
    import tensorflow as tf

    return tf.function(step, reduce_retracing=True)


def _clone(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Makes a layer of the copy that the images pass through."""
    if not isinstance(layer, keras.layers.BatchNormalization):
        return type(layer).from_config(layer.get_config())
    clone = _Accumulating.from_config(layer.get_config())
    clone.trainable = True  # Frozen layers don't accumulate.
    return clone


class Recalibrator(keras.callbacks.Callback):
    """Recalibrates what is trained, once: before the first epoch, or after the last.

    Training all layers would forget the statistics, so there it comes last. It has to
    precede the callback that evaluates and records an epoch: the epoch's checkpoint
    then holds the new statistics, and a resumed run needs nothing else.

    Args:
        model: The model of stock layers whose copy is trained; it gets the copy's
            weights.
        images: What is trained on; it is not augmented here.
        recipe: How it is trained.
        regime: A key of `choices.REGIMES`.
    """

    def __init__(
        self, model: keras.Model, images: loop.Split, recipe: Recipe, regime: str
    ) -> None:
        super().__init__()
        self._stock = model
        self._images = images
        self._batch_size = recipe.batch_size
        self._after = recipe.epochs if regime == choices.ALL else 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Recalibrates before the first epoch, if that is when."""
        if epoch == self._after:
            self._recalibrate()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Recalibrates after the last epoch, if that is when."""
        if epoch + 1 == self._after:
            self._recalibrate()

    def _recalibrate(self) -> None:
        batches = pipeline.evaluation_batches(
            self._images.images, self._images.labels, self._batch_size
        )
        self._stock.set_weights(self.model.get_weights())
        recalibrate(self._stock, (images for images, _ in batches))
        self.model.set_weights(self._stock.get_weights())
