"""What the functional models of our own families have in common."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import keras
from keras import layers

from normtest_tf.backbones import weights as weights_lib

POOLING = {
    "avg": layers.GlobalAveragePooling2D,
    "max": layers.GlobalMaxPooling2D,
}


def kaiming_normal() -> keras.initializers.Initializer:
    """Returns PyTorch's `kaiming_normal_(mode="fan_out", nonlinearity="relu")`."""
    return keras.initializers.VarianceScaling(
        scale=2.0, mode="fan_out", distribution="untruncated_normal"
    )


def build_model(
    architecture: str,
    features: Callable[[keras.KerasTensor], keras.KerasTensor],
    *,
    top_name: str,
    default_input_shape: tuple[int, int, int],
    include_top: bool,
    weights: str | None,
    input_shape: tuple[int, int, int] | None,
    pooling: str | None,
    classes: int,
    classifier_activation: str | None,
    name: str,
) -> keras.Model:
    """Closes a feature extractor with a top, and loads its weights.

    Args:
        architecture: The network's name in the registry, to look up tags.
        features: From the input tensor to the last feature map.
        top_name: PyTorch's name of the classifier.
        default_input_shape: Used where `input_shape` is None.
        include_top: See `resnet.ResNet18`, as for all that follow.
        weights: See there.
        input_shape: See there.
        pooling: See there.
        classes: See there.
        classifier_activation: See there.
        name: See there.

    Returns:
        The model.

    Raises:
        ValueError: If `pooling` or `classes` is not an allowed value.
        UsageError: If the weights can't be used.
    """
    if pooling not in (None, *POOLING):
        raise ValueError(
            f"pooling must be 'avg', 'max' or None. Received: pooling={pooling!r}"
        )
    if include_top and classes < 1:
        raise ValueError(f"classes must be positive. Received: classes={classes}")
    inputs = keras.Input(input_shape or default_input_shape)
    x = features(inputs)
    if include_top:
        x = layers.GlobalAveragePooling2D(name="global_pool")(x)
        bound = 1 / math.sqrt(x.shape[-1])
        uniform = keras.initializers.RandomUniform
        x = layers.Dense(
            classes,
            activation=classifier_activation,
            kernel_initializer=uniform(-bound, bound),
            bias_initializer=uniform(-bound, bound),
            dtype="float32",
            name=top_name,
        )(x)
    elif pooling:
        x = POOLING[pooling](name="global_pool")(x)
    model = keras.Model(inputs, x, name=name)
    if weights is not None:
        left_out = weights_lib.load(model, weights_lib.resolve(architecture, weights))
        if include_top and left_out:
            warnings.warn("; ".join(left_out), stacklevel=3)
    return model
