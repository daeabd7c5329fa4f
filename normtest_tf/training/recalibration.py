"""Batch normalization's running statistics, estimated again on the images at hand.

Known as AdaBN: Li et al., "Revisiting Batch Normalization For Practical Domain
Adaptation" (2016), arXiv:1603.04779. The images pass through the network once, batch by
batch. Each layer normalises with the batch's own statistics, as in training, and the
running ones become the mean over all batches, weighted by their sizes; what they were
before is forgotten. With batches of one size this is PyTorch's `momentum=None`.
Variances are unbiased, as PyTorch's and those of `training_copy` are.
"""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np

from normtest_tf.training import choices, loop, pipeline, regimes
from normtest_tf.training.recipe import Recipe
from normtest_tf.training.training_copy import BatchNormalization


class _Accumulating(BatchNormalization):
    """Normalises with the batch's statistics in every mode."""

    def call(self, inputs: keras.KerasTensor, *_: object, **__: object) -> object:
        return super().call(inputs, training=True)


def recalibrate(model: keras.Model, batches: Iterable[np.ndarray]) -> None:
    """Replaces the running statistics of batch normalization, and nothing else."""
    copy = keras.models.clone_model(model, clone_function=_clone, recursive=True)
    copy.set_weights(model.get_weights())
    layers = list(regimes.batch_normalizations(copy))
    # A variable, since a compiled function would keep the first batch's number; but
    # none of the layers', whose weights are those of the model.
    momentum = keras.Variable(0.0, trainable=False, name="momentum")
    for layer in layers:
        object.__setattr__(layer, "momentum", momentum)

    def step(batch: np.ndarray) -> None:
        copy(batch, training=False)

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        step = tf.function(step, reduce_retracing=True)
    seen = 0
    for batch in batches:
        momentum.assign(seen / (seen + len(batch)))
        step(batch)
        seen += len(batch)
    for own, found in zip(regimes.batch_normalizations(model), layers, strict=True):
        own.moving_mean.assign(found.moving_mean)
        own.moving_variance.assign(found.moving_variance)


def _clone(layer: keras.layers.Layer) -> keras.layers.Layer:
    if not isinstance(layer, keras.layers.BatchNormalization):
        return type(layer).from_config(layer.get_config())
    clone = _Accumulating.from_config(layer.get_config())
    clone.trainable = True  # Frozen layers don't accumulate.
    return clone


class Recalibrator(keras.callbacks.Callback):
    """Recalibrates what is trained, once: before the first epoch, or after the last.

    Training all layers would forget the statistics, so there it comes last. It has to
    precede the callback that evaluates and records an epoch: the epoch's checkpoint
    then holds the new statistics, and a resumed run needs nothing else. The `model` of
    stock layers, whose copy is trained, gets the copy's weights.
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
