"""Layers with PyTorch's padding, constants and initial values.

Our own networks are written in these and in `keras.layers`. Layers say where their
channels are, because Keras's default depends on the user's keras.json.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import TypeAlias

import keras

CHANNELS_LAST = "channels_last"

Tensor: TypeAlias = keras.KerasTensor


def convolution(
    x: Tensor, filters: int, size: int, strides: int, name: str, fan: str = "fan_out"
) -> Tensor:
    """Applies a convolution without bias, padded by size // 2 on every side.

    Its kernel is initialised as by PyTorch's `kaiming_normal_(mode=fan,
    nonlinearity="relu")`. A padding layer is called `{name}_pad`.
    """
    if size > 1 and strides > 1:
        # At stride 2, Keras's "same" would pad less before than after.
        x = _zero_padding(x, size // 2, f"{name}_pad")
    return keras.layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding="same" if strides == 1 else "valid",
        data_format=CHANNELS_LAST,
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(
            scale=2.0, mode=fan, distribution="untruncated_normal"
        ),
        name=name,
    )(x)


def batch_norm(x: Tensor, name: str, gamma: str = "ones") -> Tensor:
    """Applies batch normalization with PyTorch's epsilon and momentum."""
    return keras.layers.BatchNormalization(
        axis=-1, epsilon=1e-5, momentum=0.9, gamma_initializer=gamma, name=name
    )(x)


def norm_relu(x: Tensor, norm: str, relu: str) -> Tensor:
    """Applies batch normalization and ReLU, as layers of these names."""
    return keras.layers.ReLU(name=relu)(batch_norm(x, norm))


def group_normalized(inputs: Tensor, outputs: Tensor) -> Tensor:
    """Rebuilds a graph with groups of 4 channels in place of batch normalization.

    Wu and He, "Group Normalization" (2018).
    """

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if not isinstance(layer, keras.layers.BatchNormalization):
            return type(layer).from_config(config)
        return keras.layers.GroupNormalization(
            groups=layer.gamma.shape[0] // 4,
            epsilon=layer.epsilon,
            gamma_initializer=config["gamma_initializer"],
            name=layer.name,
        )

    model = keras.Model(inputs, outputs)
    copy = keras.models.clone_model(
        model,
        inputs,
        clone_function=clone,
        # A mask, which no image has, is not an argument of group normalization.
        call_function=lambda layer, x, **_: layer(x),
    )
    return copy.outputs[0]


def max_pool(x: Tensor, name: str) -> Tensor:
    """Applies 3x3 max-pooling with stride 2, padded by 1, to the output of a ReLU."""
    # PyTorch pads with -infinity; after a ReLU, 0 has the same effect.
    x = _zero_padding(x, 1, f"{name}_pad")
    return keras.layers.MaxPooling2D(
        3, strides=2, data_format=CHANNELS_LAST, name=name
    )(x)


def _zero_padding(x: Tensor, pixels: int, name: str) -> Tensor:
    return keras.layers.ZeroPadding2D(pixels, data_format=CHANNELS_LAST, name=name)(x)


def linear(
    features: int,
    outputs: int,
    *,
    name: str,
    bias: str = "uniform",
    activation: str | None = None,
    seed: int | None = None,
) -> keras.layers.Dense:
    """Makes a linear layer with PyTorch's initialisation, in full precision.

    `bias` is `uniform`, as in `torch.nn.Linear`, or `zeros`. With a seed, the initial
    values don't depend on the global one.
    """
    bound = 1 / math.sqrt(features)
    uniform = functools.partial(keras.initializers.RandomUniform, -bound, bound)
    bias_seed = None if seed is None else seed + 1
    policy = keras.config.dtype_policy()
    return keras.layers.Dense(
        outputs,
        activation=activation,
        kernel_initializer=uniform(seed=seed),
        bias_initializer="zeros" if bias == "zeros" else uniform(seed=bias_seed),
        dtype=keras.backend.result_type(policy.compute_dtype, "float32"),
        name=name,
    )


def copy_weights(model: keras.Model, copy: keras.Model) -> None:
    """Gives a copy of a model its weights."""
    copy.set_weights(model.get_weights())
    for layer in leaves(copy):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # It computes with what it has made of its weights.


def leaves(model: keras.Model, kind: str = "layers") -> Iterator[keras.layers.Layer]:
    """Yields a model's layers, or operations, in order, within models in it as well."""
    for layer in getattr(model, kind, model.layers):
        if isinstance(layer, keras.Model):
            yield from leaves(layer, kind)
        else:
            yield layer
