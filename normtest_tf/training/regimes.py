"""Regimes: which layers of the training copy are trained, and on which batches.

    all          all layers
    head         the head alone; the rest computes as in evaluation: stored statistics,
                 no dropout
    frozen_bn    all layers except batch normalization, which uses its stored statistics
                 and keeps its scale and offset

Only the copy is frozen, so a model is saved with all of its layers trainable.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import keras
from keras import ops

from normtest_tf import errors, text
from normtest_tf.backbones import layers
from normtest_tf.training import choices


class Frozen(keras.layers.Layer):
    """Computes as another layer or model does in evaluation, and never changes it.

    `trainable=False` alone is not enough: dropout would still drop. Gradients stop
    here, so nothing is computed or kept for those of the layer's own weights.
    """

    def __init__(self, layer: keras.layers.Layer) -> None:
        super().__init__(name=layer.name, autocast=False)
        layer.trainable = False
        self.layer = layer
        self.built = True

    def call(
        self,
        inputs: keras.KerasTensor,
        training: bool | None = None,
        mask: keras.KerasTensor | None = None,
    ) -> keras.KerasTensor:
        """Returns the layer's outputs in evaluation mode, whatever `training` says."""
        return ops.stop_gradient(self.layer(inputs, training=False))


def freeze(copy: keras.Model, regime: str) -> keras.Model:
    """Makes a copy of a classifier train as a regime says.

    Args:
        copy: From `training_copy.make`; use the returned model in its place.
        regime: A key of `choices.REGIMES`.

    Returns:
        The model to train, with the weights of `copy` in the same order.
    """
    if regime == choices.FROZEN_BN:
        for layer in batch_normalizations(copy):
            layer.trainable = False
    if regime != choices.HEAD:
        return copy
    head = copy.layers[-1]

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        is_kept = layer is head or isinstance(layer, keras.layers.InputLayer)
        return layer if is_kept else Frozen(layer)

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

    That happens to a batch of one image, such as the last one of an epoch, where a
    layer's map is 1x1. The value would be normalised to 0, whatever the image is, and
    the running variance would shrink; PyTorch refuses to train on such a batch.
    """
    if not _has_single_image(examples, batch_size):
        return
    if names := [layer.name for layer in _layers_of_single_values(model)]:
        which = "every" if batch_size == 1 else "the last"
        others = f" (and {text.counted(len(names) - 1, 'other layer')})"
        advice = "Train on two images or more, with a --batch_size of 2 or more"
        if examples > 1:
            sizes = itertools.count(batch_size + 1)
            size = next(n for n in sizes if not _has_single_image(examples, n))
            advice = f"Pass --batch_size={size}"
        raise errors.UsageError(
            f"{which} training batch of an epoch would be a single image "
            f"({text.counted(examples, 'image')}, --batch_size={batch_size}), where "
            f"the batch normalization {names[0]}{others if names[1:] else ''} gets one "
            "value per channel, which becomes 0 whatever the image is; PyTorch refuses "
            f"to train on that. {advice}"
        )


def _has_single_image(examples: int, batch_size: int) -> bool:
    """Tells whether an epoch has a batch of one image."""
    return batch_size == 1 or examples % batch_size == 1


def _layers_of_single_values(
    model: keras.Model,
) -> Iterator[keras.layers.BatchNormalization]:
    """Yields the layers that train and have one value per channel and image."""
    for layer in batch_normalizations(model):
        shape = list(layer.input.shape)
        del shape[layer.axis], shape[0]
        if layer.trainable and None not in shape and math.prod(shape) == 1:
            yield layer
