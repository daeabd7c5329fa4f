"""Densely connected networks, graph for graph what timm and torchvision train.

Differences from `keras.applications.DenseNet121` that matter for numbers:
batch normalization has epsilon 1e-5 and momentum 0.9 (Keras: 1.001e-5 and
0.99). A layer's name is the name of PyTorch's module with dots turned into
underscores.

Huang et al., "Densely Connected Convolutional Networks" (2016).
"""

from __future__ import annotations

import keras
from keras import layers

from normtest_tf.backbones import functional

BOTTLENECK = 4  # Channels between a layer's two convolutions, in growth rates.


def _convolution(
    x: keras.KerasTensor, filters: int, size: int, name: str
) -> keras.KerasTensor:
    """Convolves as `functional.convolution`, initialised as timm's DenseNets."""
    return functional.convolution(x, filters, size, 1, name, fan="fan_in")


def _norm_relu(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Batch normalization and ReLU, one module in timm."""
    x = functional.batch_norm(x, name)
    return layers.ReLU(name=f"{name}_act")(x)


def _stem(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    """7x7 convolution and max-pooling: a quarter of the resolution."""
    x = functional.convolution(x, filters, 7, 2, "features_conv0", fan="fan_in")
    x = _norm_relu(x, "features_norm0")
    return functional.max_pool(x, "features_pool0")


def _dense_layer(x: keras.KerasTensor, growth: int, name: str) -> keras.KerasTensor:
    """Appends `growth` channels that are computed from all channels so far."""
    new = _norm_relu(x, f"{name}_norm1")
    new = _convolution(new, BOTTLENECK * growth, 1, f"{name}_conv1")
    new = _norm_relu(new, f"{name}_norm2")
    new = _convolution(new, growth, 3, f"{name}_conv2")
    return layers.Concatenate(name=f"{name}_concat")([x, new])


def _transition(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Halves the channels and the resolution."""
    x = _norm_relu(x, f"{name}_norm")
    x = _convolution(x, x.shape[-1] // 2, 1, f"{name}_conv")
    return layers.AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)


def _features(
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


def _densenet(
    architecture: str, growth: int, depths: tuple[int, ...]
) -> functional.Network:
    """Describes a DenseNet."""
    return functional.Network(
        architecture, lambda x: _features(x, growth, depths), top_name="classifier"
    )


def DenseNet121(
    include_top: bool = True,
    weights: str | None = "ra_in1k",
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "densenet121",
) -> keras.Model:
    """Builds DenseNet-121, as timm's `densenet121`; for the rest see `ResNet18`.

    The last feature map is `[n, height / 32, width / 32, 1024]`.
    """
    return _densenet("densenet121", 32, (6, 12, 24, 16)).build(
        include_top, weights, input_shape, pooling, classes, classifier_activation, name
    )


def DenseNet161(
    include_top: bool = True,
    weights: str | None = "tv_in1k",
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "densenet161",
) -> keras.Model:
    """Builds DenseNet-161, as timm's `densenet161`; for the rest see `ResNet18`.

    The last feature map is `[n, height / 32, width / 32, 2208]`.
    """
    return _densenet("densenet161", 48, (6, 12, 36, 24)).build(
        include_top, weights, input_shape, pooling, classes, classifier_activation, name
    )


def DenseNet169(
    include_top: bool = True,
    weights: str | None = "tv_in1k",
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "densenet169",
) -> keras.Model:
    """Builds DenseNet-169, as timm's `densenet169`; for the rest see `ResNet18`.

    The last feature map is `[n, height / 32, width / 32, 1664]`.
    """
    return _densenet("densenet169", 32, (6, 12, 32, 32)).build(
        include_top, weights, input_shape, pooling, classes, classifier_activation, name
    )


def DenseNet201(
    include_top: bool = True,
    weights: str | None = "tv_in1k",
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "densenet201",
) -> keras.Model:
    """Builds DenseNet-201, as timm's `densenet201`; for the rest see `ResNet18`.

    The last feature map is `[n, height / 32, width / 32, 1920]`.
    """
    return _densenet("densenet201", 32, (6, 12, 48, 32)).build(
        include_top, weights, input_shape, pooling, classes, classifier_activation, name
    )
