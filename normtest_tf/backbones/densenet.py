"""Densely connected networks with exactly the graphs of timm and torchvision.

Differences from `keras.applications.DenseNet121` that change the outputs: batch
normalization has epsilon 1e-5 and momentum 0.9 (Keras: 1.001e-5 and 0.99). A layer is
named after PyTorch's module, with underscores for dots.

Huang et al., "Densely Connected Convolutional Networks" (2016).
"""

from __future__ import annotations

import keras

from normtest_tf.backbones import layers
from normtest_tf.backbones.network import Builder, builder

BOTTLENECK = 4  # Ratio of a layer's intermediate channels to its growth rate.


def _convolution(
    x: keras.KerasTensor, filters: int, size: int, name: str
) -> keras.KerasTensor:
    """Applies a convolution, initialised as in timm's DenseNets."""
    return layers.convolution(x, filters, size, 1, name, fan="fan_in")


def _norm_relu(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Applies batch normalization and ReLU."""
    x = layers.batch_norm(x, name)
    return keras.layers.ReLU(name=f"{name}_act")(x)


def _stem(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    """Reduces the resolution to a quarter: a 7x7 convolution and max-pooling."""
    x = layers.convolution(x, filters, 7, 2, "features_conv0", fan="fan_in")
    x = _norm_relu(x, "features_norm0")
    return layers.max_pool(x, "features_pool0")


def _dense_layer(x: keras.KerasTensor, growth: int, name: str) -> keras.KerasTensor:
    """Appends `growth` channels, computed from all channels so far."""
    new = _norm_relu(x, f"{name}_norm1")
    new = _convolution(new, BOTTLENECK * growth, 1, f"{name}_conv1")
    new = _norm_relu(new, f"{name}_norm2")
    new = _convolution(new, growth, 3, f"{name}_conv2")
    return keras.layers.Concatenate(name=f"{name}_concat")([x, new])


def _transition(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Halves the channels and the resolution."""
    x = _norm_relu(x, f"{name}_norm")
    x = _convolution(x, x.shape[-1] // 2, 1, f"{name}_conv")
    return keras.layers.AveragePooling2D(
        2, strides=2, data_format=layers.CHANNELS_LAST, name=f"{name}_pool"
    )(x)


def features(
    x: keras.KerasTensor, growth: int, depths: tuple[int, ...]
) -> keras.KerasTensor:
    """Stacks the dense blocks, with transitions between them."""
    x = _stem(x, 2 * growth)
    for block, depth in enumerate(depths, start=1):
        for index in range(1, depth + 1):
            name = f"features_denseblock{block}_denselayer{index}"
            x = _dense_layer(x, growth, name)
        if block < len(depths):
            x = _transition(x, f"features_transition{block}")
    return _norm_relu(x, "features_norm5")


def _densenet(depth: int, channels: int, growth: int, *depths: int) -> Builder:
    """Makes the function of a DenseNet."""
    return builder(
        f"DenseNet{depth}",
        lambda x: features(x, growth, depths),
        title=f"DenseNet-{depth}, equivalent to timm's `densenet{depth}`",
        channels=channels,
    )


DenseNet121 = _densenet(121, 1024, 32, 6, 12, 24, 16)
DenseNet161 = _densenet(161, 2208, 48, 6, 12, 36, 24)
DenseNet169 = _densenet(169, 1664, 32, 6, 12, 32, 32)
DenseNet201 = _densenet(201, 1920, 32, 6, 12, 48, 32)
