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

from collections.abc import Iterator
from typing import TYPE_CHECKING

from normtest_tf import errors

if TYPE_CHECKING:
    import keras

ALL, HEAD, FROZEN_BN = "all", "head", "frozen_bn"
DESCRIPTIONS = {
    ALL: "all layers",
    HEAD: "the new head on a frozen backbone in evaluation mode",
    FROZEN_BN: "all layers but batch normalization, which stays in evaluation mode",
}
ADAM, SGD = "adam", "sgd"
OPTIMIZERS = {
    ADAM: "as in the PyTorch study",
    SGD: "with momentum 0.9 and no weight decay",
}


def check_warmup(warmup_epochs: int, epochs: int) -> None:
    """Raises `UsageError` unless the warm-up is a part of the training.

    Args:
        warmup_epochs: The number of epochs in which the learning rate rises.
        epochs: The number of epochs.
    """
    if not 0 <= warmup_epochs <= epochs:
        raise errors.UsageError(
            f"--warmup_epochs must be from 0 to --epochs={epochs}. "
            f"Received: {warmup_epochs}"
        )


def freeze(copy: keras.Model, regime: str) -> keras.Model:
    """Makes a copy of a classifier train as a regime says.

    Args:
        copy: From `training_copy.make`; it must not be used afterwards.
        regime: A key of `DESCRIPTIONS`.

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
    import keras

    from normtest_tf.backbones import layers

    for layer in layers.leaves(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            yield layer


def check(model: keras.Model, regime: str, *, recalibrate: bool = False) -> None:
    """Checks that a model has what is frozen or estimated again.

    Args:
        model: The classifier.
        regime: A key of `DESCRIPTIONS`.
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
    import keras

    from normtest_tf.training.layers.frozen import Frozen

    head = copy.layers[-1]

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        is_kept = layer is head or isinstance(layer, keras.layers.InputLayer)
        return layer if is_kept else Frozen(layer)

    return keras.models.clone_model(copy, clone_function=clone)
