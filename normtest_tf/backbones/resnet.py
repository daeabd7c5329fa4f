"""Residual networks with exactly the graphs of timm and torchvision.

Differences from `keras.applications.ResNet50` that change the outputs: the stride of a
bottleneck is on its 3x3 convolution, not on its first 1x1, convolutions have no bias,
and batch normalization has epsilon 1e-5 and momentum 0.9 (Keras: 1.001e-5 and 0.99). A
layer is named after PyTorch's module, with underscores for dots.

He et al., "Deep Residual Learning for Image Recognition" (2015).
"""

from __future__ import annotations

from collections.abc import Callable

import keras

from normtest_tf.backbones import layers
from normtest_tf.backbones.network import Network, Top

EXPANSION = 4  # Ratio of a bottleneck's output channels to its 3x3 convolution's.

# (x, filters, strides, name) -> x
Block = Callable[[keras.KerasTensor, int, int, str], keras.KerasTensor]


def _shortcut(
    x: keras.KerasTensor, filters: int, strides: int, name: str
) -> keras.KerasTensor:
    """Returns `x`, or a 1x1 projection of it if the block changes the shape."""
    if strides == 1 and x.shape[-1] == filters:
        return x
    x = layers.convolution(x, filters, 1, strides, f"{name}_downsample_0")
    return layers.batch_norm(x, f"{name}_downsample_1")


def basic_block(
    x: keras.KerasTensor, filters: int, strides: int, name: str
) -> keras.KerasTensor:
    """Applies two 3x3 convolutions and adds the shortcut.

    Args:
        x: Feature map `[n, height, width, channels]`.
        filters: Number of output channels.
        strides: 1, or 2 to halve the resolution.
        name: Prefix of the layers' names.

    Returns:
        Feature map `[n, height / strides, width / strides, filters]`.
    """
    shortcut = _shortcut(x, filters, strides, name)
    x = layers.convolution(x, filters, 3, strides, f"{name}_conv1")
    x = layers.batch_norm(x, f"{name}_bn1")
    x = keras.layers.ReLU(name=f"{name}_act1")(x)
    x = layers.convolution(x, filters, 3, 1, f"{name}_conv2")
    # As in timm, the last scale starts at 0, so that the block starts as the identity.
    x = layers.batch_norm(x, f"{name}_bn2", gamma="zeros")
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_act2")(x)


def bottleneck_block(
    x: keras.KerasTensor, filters: int, strides: int, name: str
) -> keras.KerasTensor:
    """Applies 1x1, 3x3 and 1x1 convolutions and adds the shortcut.

    Args:
        x: Feature map `[n, height, width, channels]`.
        filters: Number of channels of the 3x3 convolution.
        strides: 1, or 2 to halve the resolution.
        name: Prefix of the layers' names.

    Returns:
        Feature map `[n, height / strides, width / strides, 4 * filters]`.
    """
    shortcut = _shortcut(x, EXPANSION * filters, strides, name)
    x = layers.convolution(x, filters, 1, 1, f"{name}_conv1")
    x = layers.batch_norm(x, f"{name}_bn1")
    x = keras.layers.ReLU(name=f"{name}_act1")(x)
    x = layers.convolution(x, filters, 3, strides, f"{name}_conv2")
    x = layers.batch_norm(x, f"{name}_bn2")
    x = keras.layers.ReLU(name=f"{name}_act2")(x)
    x = layers.convolution(x, EXPANSION * filters, 1, 1, f"{name}_conv3")
    x = layers.batch_norm(x, f"{name}_bn3", gamma="zeros")
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_act3")(x)


def _imagenet_stem(x: keras.KerasTensor) -> keras.KerasTensor:
    """Reduces the resolution to a quarter: a 7x7 convolution and max-pooling."""
    x = layers.convolution(x, 64, 7, 2, "conv1")
    x = layers.batch_norm(x, "bn1")
    x = keras.layers.ReLU(name="act1")(x)
    return layers.max_pool(x, "maxpool")


def _stages(
    x: keras.KerasTensor, block: Block, depths: tuple[int, ...], width: int
) -> keras.KerasTensor:
    """Stacks the stages; all but the first halve the resolution and double `width`."""
    for stage, depth in enumerate(depths):
        for index in range(depth):
            strides = 2 if stage > 0 and index == 0 else 1
            x = block(x, width * 2**stage, strides, f"layer{stage + 1}_{index}")
    return x


def _cifar_features(x: keras.KerasTensor) -> keras.KerasTensor:
    """Stacks three stages of one basic block each on a strided 3x3 convolution."""
    x = layers.convolution(x, 32, 3, 2, "conv1")
    x = layers.batch_norm(x, "bn1")
    x = keras.layers.ReLU(name="act1")(x)
    return _stages(x, basic_block, (1, 1, 1), 32)


def _resnet(architecture: str, block: Block, depths: tuple[int, ...]) -> Network:
    """Describes a ResNet for ImageNet."""
    return Network(
        architecture,
        lambda x: _stages(_imagenet_stem(x), block, depths, 64),
    )


def ResNet18(
    include_top: bool = True,
    weights: str | None = "tv_in1k",
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet18",
) -> keras.Model:
    """Builds ResNet-18, equivalent to timm's `resnet18`.

    Args:
        include_top: bool. Whether the model ends in a classifier.
        weights: str or None. A tag of timm's (`tv_in1k`, ...), the path of a
            `.safetensors` or `.weights.h5` file, or None for random weights. A
            classifier of a different size is skipped, with a warning.
        input_shape: tuple of ints, (height, width, 3). Default: (224, 224, 3).
        pooling: `avg`, `max` or None. Without a classifier, how the last feature map
            `[n, height / 32, width / 32, 512]` is pooled.
        classes: int. The number of classes, if there is a classifier.
        classifier_activation: str or None. Its activation; None for logits.
        name: str. The model's name.

    Returns:
        A functional `keras.Model` of RGB images, float `[n, height, width, 3]`,
        normalised with `backbones.get("resnet18").tags[weights].statistics`.

    Raises:
        ValueError: If an argument has a value that is not allowed.
        UsageError: If there is no such tag, or the file can't be downloaded or loaded.

    Example:
    ```python
    backbone = ResNet18(include_top=False, weights=None, pooling="avg")
    features = backbone(np.zeros([1, 224, 224, 3], "float32"))  # [1, 512]
    ```
    """
    top = Top(include_top, pooling, classes, classifier_activation)
    network = _resnet("resnet18", basic_block, (2, 2, 2, 2))
    return network.build(top, weights, input_shape, name)


def ResNet34(
    include_top: bool = True,
    weights: str | None = "a1_in1k",
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet34",
) -> keras.Model:
    """Builds ResNet-34, as timm's `resnet34`; arguments as for `ResNet18`.

    The last feature map is `[n, height / 32, width / 32, 512]`.
    """
    top = Top(include_top, pooling, classes, classifier_activation)
    network = _resnet("resnet34", basic_block, (3, 4, 6, 3))
    return network.build(top, weights, input_shape, name)


def ResNet50(
    include_top: bool = True,
    weights: str | None = "a1_in1k",
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet50",
) -> keras.Model:
    """Builds ResNet-50, as timm's `resnet50`; arguments as for `ResNet18`.

    The last feature map is `[n, height / 32, width / 32, 2048]`.
    """
    top = Top(include_top, pooling, classes, classifier_activation)
    network = _resnet("resnet50", bottleneck_block, (3, 4, 6, 3))
    return network.build(top, weights, input_shape, name)


def ResNet101(
    include_top: bool = True,
    weights: str | None = "a1h_in1k",
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet101",
) -> keras.Model:
    """Builds ResNet-101, as timm's `resnet101`; arguments as for `ResNet18`.

    The last feature map is `[n, height / 32, width / 32, 2048]`.
    """
    top = Top(include_top, pooling, classes, classifier_activation)
    network = _resnet("resnet101", bottleneck_block, (3, 4, 23, 3))
    return network.build(top, weights, input_shape, name)


def ResNet152(
    include_top: bool = True,
    weights: str | None = "a1h_in1k",
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet152",
) -> keras.Model:
    """Builds ResNet-152, as timm's `resnet152`; arguments as for `ResNet18`.

    The last feature map is `[n, height / 32, width / 32, 2048]`.
    """
    top = Top(include_top, pooling, classes, classifier_activation)
    network = _resnet("resnet152", bottleneck_block, (3, 8, 36, 3))
    return network.build(top, weights, input_shape, name)


def CifarResNet8(
    include_top: bool = True,
    weights: str | None = "cifar10",
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: str | None = "softmax",
    name: str = "cifar_resnet8",
) -> keras.Model:
    """Builds a small ResNet for 32x32 images, in the manner of He et al., section 4.2.

    After a strided 3x3 convolution come three stages of one basic block each, with 32,
    64 and 128 channels: small enough to be fine-tuned in seconds on a CPU. The weights
    `cifar10` come with this package and were made by `experiments.pretrain`.

    Args:
        include_top: bool. Whether the model ends in a classifier.
        weights: str or None. `cifar10`, the path of a file, or None for random
            weights; see `ResNet18`.
        input_shape: tuple of ints, (height, width, 3). Default: (32, 32, 3).
        pooling: `avg`, `max` or None; see `ResNet18`. The last feature map is
            `[n, height / 8, width / 8, 128]`.
        classes: int. The number of classes, if there is a classifier.
        classifier_activation: str or None. Its activation; None for logits.
        name: str. The model's name.

    Returns:
        A functional `keras.Model`; `cifar10` expects images normalised with
        CIFAR10's statistics.

    Raises:
        ValueError: If an argument has a value that is not allowed.
        UsageError: If there is no such tag, or the file can't be loaded.
    """
    top = Top(include_top, pooling, classes, classifier_activation)
    network = Network("cifar_resnet8", _cifar_features, (32, 32, 3))
    return network.build(top, weights, input_shape, name)
