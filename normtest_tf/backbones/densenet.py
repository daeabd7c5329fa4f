"""Densely connected networks with exactly the graphs of timm and torchvision.

Differences from `keras.applications.DenseNet121` that change the outputs: batch
normalization has epsilon 1e-5 and momentum 0.9 (Keras: 1.001e-5 and 0.99). A layer is
named after PyTorch's module, with underscores for dots.

Huang et al., "Densely Connected Convolutional Networks" (2016).
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras

from normtest_tf.backbones import layers
from normtest_tf.backbones.layers import Tensor
from normtest_tf.backbones.pretrained import builder

_convolution = functools.partial(layers.convolution, fan="fan_in")


def _norm_relu(x: Tensor, name: str) -> Tensor:
    return layers.norm_relu(x, name, f"{name}_act")


def _dense_layer(x: Tensor, growth: int, name: str) -> Tensor:
    """Appends `growth` channels, computed from all channels so far."""
    new = _norm_relu(x, f"{name}_norm1")
    new = _convolution(new, 4 * growth, 1, 1, f"{name}_conv1")
    new = _norm_relu(new, f"{name}_norm2")
    new = _convolution(new, growth, 3, 1, f"{name}_conv2")
    return keras.layers.Concatenate(name=f"{name}_concat")([x, new])


def _transition(x: Tensor, name: str) -> Tensor:
    """Halves the channels and the resolution."""
    x = _norm_relu(x, f"{name}_norm")
    x = _convolution(x, x.shape[-1] // 2, 1, 1, f"{name}_conv")
    return keras.layers.AveragePooling2D(
        2, strides=2, data_format=layers.CHANNELS_LAST, name=f"{name}_pool"
    )(x)


def features(x: Tensor, growth: int, depths: tuple[int, ...]) -> Tensor:
    """Stacks the dense blocks, with transitions between them."""
    x = _convolution(x, 2 * growth, 7, 2, "features_conv0")
    x = layers.max_pool(_norm_relu(x, "features_norm0"), "features_pool0")
    for block, depth in enumerate(depths, start=1):
        for index in range(1, depth + 1):
            name = f"features_denseblock{block}_denselayer{index}"
            x = _dense_layer(x, growth, name)
        if block < len(depths):
            x = _transition(x, f"features_transition{block}")
    return _norm_relu(x, "features_norm5")


def _densenet(
    depth: int, channels: int, growth: int, *depths: int
) -> Callable[..., keras.Model]:
    """Makes the function of a DenseNet."""
    return builder(
        f"densenet{depth}",
        lambda x: features(x, growth, depths),
        title=f"DenseNet-{depth}, equivalent to timm's `densenet{depth}`",
        channels=channels,
    )


DenseNet121 = _densenet(121, 1024, 32, 6, 12, 24, 16)
DenseNet161 = _densenet(161, 2208, 48, 6, 12, 36, 24)
DenseNet169 = _densenet(169, 1664, 32, 6, 12, 32, 32)
DenseNet201 = _densenet(201, 1920, 32, 6, 12, 48, 32)
