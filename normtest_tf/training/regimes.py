"""How a model is trained: which layers of the training copy, and by which optimizer.

Regimes say which layers are trained, and which stay as they are:

    all          all layers
    head         the head alone; the rest computes as in evaluation: stored statistics,
                 no dropout
    frozen_bn    all layers but batch normalization, which uses its stored statistics
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
from normtest_tf.backbones import copies
from normtest_tf.training.choices import FROZEN_BN, HEAD


def freeze(copy: keras.Model, regime: str) -> keras.Model:
    """Makes a copy of a classifier train as a regime says.

    Args:
        copy: From `training_copy.make`; it must not be used afterwards.
        regime: A key of `choices.REGIMES`.

    Returns:
        The model to train, with the weights of `copy` in the same order.
    """
    if regime == HEAD:
        return _only_head(copy)
    if regime == FROZEN_BN:
        for layer in batch_normalizations(copy):
            layer.trainable = False
    return copy


def batch_normalizations(
    model: keras.Model,
) -> Iterator[keras.layers.BatchNormalization]:
    """Yields a model's batch normalization layers, those of inner models included."""
    for layer in copies.leaves(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            yield layer


def check(model: keras.Model, regime: str, *, recalibrate: bool = False) -> None:
    """Checks that a model has what is frozen or estimated again.

    Args:
        model: The classifier.
        regime: A key of `choices.REGIMES`.
        recalibrate: Whether running statistics will be estimated again.

    Raises:
        UsageError: If the model needs batch normalization for that, and has none.
    """
    flags = ["--recalibrate"] * recalibrate
    flags += [f"--train={FROZEN_BN}"] * (regime == FROZEN_BN)
    if flags and next(batch_normalizations(model), None) is None:
        raise errors.UsageError(
            f"{flags[-1]} needs a network with batch normalization, and this one has "
            "none. Omit it, or choose another --model"
        )


def _only_head(copy: keras.Model) -> keras.Model:
    """Returns a model with all layers but the last in evaluation mode."""
    head = copy.layers[-1]

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        is_kept = layer is head or isinstance(layer, keras.layers.InputLayer)
        return layer if is_kept else Frozen(layer)

    return keras.models.clone_model(copy, clone_function=clone)


class Frozen(keras.layers.Layer):
    """Computes as another layer or model does in evaluation, and never changes it.

    `trainable=False` alone is not enough: dropout would still drop. Gradients stop
    here, so nothing is computed or kept for those of the layer's own weights.

    Args:
        layer: The layer; it is not copied.
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


def check_batches(
    model: keras.Model,
    examples: int,
    batch_size: int,
    *,
    held_out: int = 0,
    shares: int | None = None,
) -> None:
    """Checks that batch normalization never gets a single value per channel.

    That happens to a batch of one image, such as the last one of an epoch, where a
    layer's map is 1x1. The value would be normalised to 0, whatever the image is, and
    the running variance would shrink; PyTorch refuses to train on such a batch.

    Args:
        model: What will be trained, perhaps with models among its layers.
        examples: The number of images trained on.
        batch_size: Images in a batch; an epoch's last one may be shorter.
        held_out: The number of training images set aside for validation.
        shares: Into how many shares with statistics of their own a batch is divided;
            None where it is not.

    Raises:
        UsageError: If it would happen; the message says which values avoid it.
    """
    if shares is not None:
        _check_shares(model, examples, batch_size, shares)
    if not _has_single_image(examples, batch_size):
        return
    if names := [layer.name for layer in _layers_of_single_values(model)]:
        which = "every" if batch_size == 1 else "the last"
        others = f" (and {text.counted(len(names) - 1, 'other layer')})"
        raise errors.UsageError(
            f"{which} training batch of an epoch would be a single image "
            f"({text.counted(examples, 'image')}, --batch_size={batch_size}), where "
            f"the batch normalization {names[0]}{others if names[1:] else ''} gets one "
            "value per channel, which becomes 0 whatever the image is; PyTorch refuses "
            "to train on that. " + _advice(examples, batch_size, held_out)
        )


def _check_shares(
    model: keras.Model, examples: int, batch_size: int, shares: int
) -> None:
    """Raises `UsageError` if a share of a batch would be a single image."""
    sizes = {min(batch_size, examples), examples % batch_size}
    if not any(shares <= size < 2 * shares for size in sizes):
        return
    if layer := next(_layers_of_single_values(model), None):
        raise errors.UsageError(
            f"a device's share of a training batch would be a single image "
            f"({text.counted(examples, 'image')}, --batch_size={batch_size}, {shares} "
            f"devices), where the batch normalization {layer.name} gets one value per "
            "channel, which becomes 0 whatever the image is. Pass --sync_batch_norm or "
            "another --batch_size"
        )


def _has_single_image(examples: int, batch_size: int) -> bool:
    """Tells whether an epoch has a batch of one image."""
    return batch_size == 1 or examples % batch_size == 1


def _layers_of_single_values(
    model: keras.Model,
) -> Iterator[keras.layers.BatchNormalization]:
    """Yields the layers that train and have one value per channel and image."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers_of_single_values(layer)
        elif isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
            shape = list(layer.input.shape)
            del shape[layer.axis], shape[0]
            if None not in shape and math.prod(shape) == 1:
                yield layer


def _advice(examples: int, batch_size: int, held_out: int) -> str:
    """Returns what to change, with values that work."""
    if examples == 1:
        return "Train on two images or more, with a --batch_size of 2 or more"
    below = range(batch_size - 1, 1, -1)
    above = itertools.count(batch_size + 1)
    sizes = [
        next((n for n in candidates if not _has_single_image(examples, n)), None)
        for candidates in (below, above)
    ]
    choices = [f"--batch_size={size}" for size in sizes if size]
    if batch_size > 1:
        choices.append(f"--train_examples={examples + held_out - 1}")
        if held_out:
            choices.append(f"--validation_examples={held_out + 1}")
    *others, last = choices
    return f"Pass {', '.join(others)} or {last}" if others else f"Pass {last}"
