"""Densely connected networks with exactly the graphs of timm and torchvision.

Differences from `keras.applications.DenseNet121` that change the outputs: batch
normalization has epsilon 1e-5 and momentum 0.9 (Keras: 1.001e-5 and 0.99). A layer is
named after PyTorch's module, with underscores for dots.

Huang et al., "Densely Connected Convolutional Networks" (2016).
"""

from __future__ import annotations

import keras

from normtest_tf.backbones import layers
from normtest_tf.backbones.network import Network, Top

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


def _densenet(architecture: str, growth: int, depths: tuple[int, ...]) -> Network:
    """Describes a DenseNet."""
    return Network(architecture, lambda x: _features(x, growth, depths))


def DenseNet121(
    include_top: bool = True,
    weights: str | None = "ra_in1k",
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "densenet121",
) -> keras.Model:
    """Builds DenseNet-121, equivalent to timm's `densenet121`.

    Args:
        include_top: bool. Whether the model ends in a classifier.
        weights: str or None. A tag of timm's (`ra_in1k`, ...), the path of a
            `.safetensors` or `.weights.h5` file, or None for random weights. A
            classifier of a different size is skipped, with a warning.
        input_shape: tuple of ints, (height, width, 3). Default: (224, 224, 3).
        pooling: `avg`, `max` or None. Without a classifier, how the last feature map
            `[n, height / 32, width / 32, 1024]` is pooled.
        classes: int. The number of classes, if there is a classifier.
        classifier_activation: str or None. Its activation; None for logits.
        name: str. The model's name.

    Returns:
        A functional `keras.Model` of RGB images, float `[n, height, width, 3]`,
        normalised with `backbones.get("densenet121").tags[weights].statistics`.

    Raises:
        ValueError: If an argument has a value that is not allowed.
        UsageError: If there is no such tag, or the file can't be downloaded or loaded.

    Example:
    ```python
    backbone = DenseNet121(include_top=False, weights=None, pooling="avg")
    features = backbone(np.zeros([1, 224, 224, 3], "float32"))  # [1, 1024]
    ```
    """
    top = Top(include_top, pooling, classes, classifier_activation)
    network = _densenet("densenet121", 32, (6, 12, 24, 16))
    return network.build(top, weights, input_shape, name)


def DenseNet161(
    include_top: bool = True,
    weights: str | None = "tv_in1k",
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "densenet161",
) -> keras.Model:
    """Builds DenseNet-161, as timm's `densenet161`; arguments as for `DenseNet121`.

    The last feature map is `[n, height / 32, width / 32, 2208]`.
    """
    top = Top(include_top, pooling, classes, classifier_activation)
    network = _densenet("densenet161", 48, (6, 12, 36, 24))
    return network.build(top, weights, input_shape, name)


def DenseNet169(
    include_top: bool = True,
    weights: str | None = "tv_in1k",
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "densenet169",
) -> keras.Model:
    """Builds DenseNet-169, as timm's `densenet169`; arguments as for `DenseNet121`.

    The last feature map is `[n, height / 32, width / 32, 1664]`.
    """
    top = Top(include_top, pooling, classes, classifier_activation)
    network = _densenet("densenet169", 32, (6, 12, 32, 32))
    return network.build(top, weights, input_shape, name)


def DenseNet201(
    include_top: bool = True,
    weights: str | None = "tv_in1k",
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "densenet201",
) -> keras.Model:
    """Builds DenseNet-201, as timm's `densenet201`; arguments as for `DenseNet121`.

    The last feature map is `[n, height / 32, width / 32, 1920]`.
    """
    top = Top(include_top, pooling, classes, classifier_activation)
    network = _densenet("densenet201", 32, (6, 12, 48, 32))
    return network.build(top, weights, input_shape, name)
