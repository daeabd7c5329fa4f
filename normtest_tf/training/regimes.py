"""Regimes: which layers of the training copy are trained, and on which batches.

Only the copy is frozen, so a model is saved with all of its layers trainable.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras
from keras import ops

from normtest_tf import errors, text
from normtest_tf.backbones import layers
from normtest_tf.training import choices


class _Frozen(keras.layers.Layer):
    """Computes as another layer or model does in evaluation, and never changes it.

    `trainable=False` alone is not enough: dropout would still drop. Gradients stop
    here, so nothing is computed or kept for those of the layer's own weights.
    """

    def __init__(self, layer: keras.layers.Layer) -> None:
        super().__init__(name=layer.name, autocast=False)
        layer.trainable = False
        self.layer = layer
        self.built = True

    def call(self, inputs: keras.KerasTensor, **_: object) -> keras.KerasTensor:
        return ops.stop_gradient(self.layer(inputs, training=False))


def freeze(copy: keras.Model, regime: str) -> keras.Model:
    """Makes a training copy train as a regime says; use the returned model instead."""
    if regime == choices.FROZEN_BN:
        for layer in batch_normalizations(copy):
            layer.trainable = False
    if regime != choices.HEAD:
        return copy
    head = copy.layers[-1]

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        is_kept = layer is head or isinstance(layer, keras.layers.InputLayer)
        return layer if is_kept else _Frozen(layer)

    return keras.models.clone_model(copy, clone_function=clone)


def batch_normalizations(
    model: keras.Model,
) -> Iterator[keras.layers.BatchNormalization]:
    """Yields a model's batch normalization layers, those of inner models included."""
    for layer in layers.leaves(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            yield layer


def check(model: keras.Model, regime: str, *, recalibrate: bool = False) -> None:
    """Raises `UsageError` if a flag needs batch normalization and there is none."""
    flags = ["--recalibrate"] * recalibrate
    flags += [f"--train={choices.FROZEN_BN}"] * (regime == choices.FROZEN_BN)
    if flags and next(batch_normalizations(model), None) is None:
        raise errors.UsageError(
            f"{flags[-1]} needs a network with batch normalization, and this one has "
            "none. Omit it, or choose another --model"
        )


def check_batches(model: keras.Model, examples: int, batch_size: int) -> None:
    """Raises `UsageError` if batch normalization would get single values per channel.

    That happens to a batch of one image where a layer's map is 1x1. The value would be
    normalised to 0, and the running variance would shrink.
    """
    if batch_size != 1 and examples % batch_size != 1:
        return
    if layer := next(filter(_gets_one_value, batch_normalizations(model)), None):
        which = "every" if batch_size == 1 else "the last"
        larger = range(batch_size + 1, examples + 1)
        size = next((size for size in larger if examples % size != 1), 0)
        advice = f"Pass --batch_size={size}" if size else "Train on two images or more"
        raise errors.UsageError(
            f"{which} training batch of an epoch would be a single image "
            f"({text.counted(examples, 'image')}, --batch_size={batch_size}), where "
            f"the batch normalization {layer.name} gets one value per channel, which "
            f"becomes 0 whatever the image is. {advice}"
        )


def _gets_one_value(layer: keras.layers.BatchNormalization) -> bool:
    """Tells whether a layer trains and has one value per channel and image."""
    shape = list(layer.input.shape)
    del shape[layer.axis], shape[0]
    return layer.trainable and None not in shape and math.prod(shape) == 1
