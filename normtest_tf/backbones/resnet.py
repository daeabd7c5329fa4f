"""Residual networks, graph for graph what timm and torchvision train.

Differences from `keras.applications.ResNet50` that matter for numbers: strided
convolutions and pooling pad symmetrically (Keras's `same` does not), the stride
of a bottleneck sits on its 3x3 convolution, convolutions have no bias, and batch
normalization has epsilon 1e-5 and momentum 0.9. A layer's name is the name of
PyTorch's module with dots turned into underscores.

He et al., "Deep Residual Learning for Image Recognition" (2015).
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

from normtest_tf.backbones import functional

EXPANSION = 4  # Channels out of a bottleneck, in widths of its 3x3 convolution.

# (x, filters, strides, name) -> x
Block = Callable[[keras.KerasTensor, int, int, str], keras.KerasTensor]


def _shortcut(
    x: keras.KerasTensor, filters: int, strides: int, name: str
) -> keras.KerasTensor:
    """Returns the identity, or a 1x1 projection where the shape changes."""
    if strides == 1 and x.shape[-1] == filters:
        return x
    x = functional.convolution(x, filters, 1, strides, f"{name}_downsample_0")
    return functional.batch_norm(x, f"{name}_downsample_1")


def basic_block(
    x: keras.KerasTensor, filters: int, strides: int, name: str
) -> keras.KerasTensor:
    """Two 3x3 convolutions and the shortcut around them."""
    shortcut = _shortcut(x, filters, strides, name)
    x = functional.convolution(x, filters, 3, strides, f"{name}_conv1")
    x = functional.batch_norm(x, f"{name}_bn1")
    x = layers.ReLU(name=f"{name}_act1")(x)
    x = functional.convolution(x, filters, 3, 1, f"{name}_conv2")
    # A block starts as the identity: its last scale is 0, as in timm.
    x = functional.batch_norm(x, f"{name}_bn2", gamma="zeros")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_act2")(x)


def bottleneck_block(
    x: keras.KerasTensor, filters: int, strides: int, name: str
) -> keras.KerasTensor:
    """1x1, 3x3 and 1x1 convolutions to four times `filters`, and the shortcut."""
    shortcut = _shortcut(x, EXPANSION * filters, strides, name)
    x = functional.convolution(x, filters, 1, 1, f"{name}_conv1")
    x = functional.batch_norm(x, f"{name}_bn1")
    x = layers.ReLU(name=f"{name}_act1")(x)
    x = functional.convolution(x, filters, 3, strides, f"{name}_conv2")
    x = functional.batch_norm(x, f"{name}_bn2")
    x = layers.ReLU(name=f"{name}_act2")(x)
    x = functional.convolution(x, EXPANSION * filters, 1, 1, f"{name}_conv3")
    x = functional.batch_norm(x, f"{name}_bn3", gamma="zeros")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_act3")(x)


def _imagenet_stem(x: keras.KerasTensor) -> keras.KerasTensor:
    """7x7 convolution and max-pooling: a quarter of the resolution."""
    x = functional.convolution(x, 64, 7, 2, "conv1")
    x = functional.batch_norm(x, "bn1")
    x = layers.ReLU(name="act1")(x)
    return functional.max_pool(x, "maxpool")


def _cifar_stem(x: keras.KerasTensor) -> keras.KerasTensor:
    """3x3 convolution: half of the resolution."""
    x = functional.convolution(x, 32, 3, 2, "conv1")
    x = functional.batch_norm(x, "bn1")
    return layers.ReLU(name="act1")(x)


def _stages(
    x: keras.KerasTensor, block: Block, depths: tuple[int, ...], width: int
) -> keras.KerasTensor:
    """Stacks the stages; each but the first halves the size and doubles `width`."""
    for stage, depth in enumerate(depths):
        for index in range(depth):
            strides = 2 if stage > 0 and index == 0 else 1
            x = block(x, width * 2**stage, strides, f"layer{stage + 1}_{index}")
    return x


def _resnet(
    architecture: str, block: Block, depths: tuple[int, ...]
) -> functional.Network:
    """Describes a ResNet for ImageNet."""
    return functional.Network(
        architecture,
        lambda x: _stages(_imagenet_stem(x), block, depths, 64),
        top_name="fc",
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
    """Builds ResNet-18, as timm's `resnet18`.

    Args:
        include_top: bool. Whether the model ends in a classifier.
        weights: str or None. A tag of timm's (`tv_in1k`, ...), the path of a
            `.safetensors` or `.weights.h5` file, or None for a fresh start. A
            classifier of another size in the file is left out, with a warning.
        input_shape: tuple of ints, (height, width, 3). Default: (224, 224, 3).
        pooling: `avg`, `max` or None; without a classifier, what becomes of the
            last feature map `[n, height / 32, width / 32, 512]`.
        classes: int. The number of classes, if there is a classifier.
        classifier_activation: str or None. Activation of the classifier; None
            gives logits.
        name: str. The model's name.

    Returns:
        A functional `keras.Model` from normalised RGB images, float
        `[n, height, width, 3]`, in the statistics that the weights were trained
        with; `registry.get("resnet18").tags` has those of each tag.

    Raises:
        ValueError: If an argument is not an allowed value.
        UsageError: If there is no such tag, or the file can't be used.

    Example:
    ```python
    backbone = ResNet18(include_top=False, weights=None, pooling="avg")
    features = backbone(np.zeros([1, 224, 224, 3], "float32"))  # [1, 512]
    ```
    """
    return _resnet("resnet18", basic_block, (2, 2, 2, 2)).build(
        include_top, weights, input_shape, pooling, classes, classifier_activation, name
    )


def ResNet34(
    include_top: bool = True,
    weights: str | None = "a1_in1k",
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet34",
) -> keras.Model:
    """Builds ResNet-34, as timm's `resnet34`; for the rest see `ResNet18`.

    The last feature map is `[n, height / 32, width / 32, 512]`.
    """
    return _resnet("resnet34", basic_block, (3, 4, 6, 3)).build(
        include_top, weights, input_shape, pooling, classes, classifier_activation, name
    )


def ResNet50(
    include_top: bool = True,
    weights: str | None = "a1_in1k",
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet50",
) -> keras.Model:
    """Builds ResNet-50, as timm's `resnet50`; for the rest see `ResNet18`.

    The last feature map is `[n, height / 32, width / 32, 2048]`.
    """
    return _resnet("resnet50", bottleneck_block, (3, 4, 6, 3)).build(
        include_top, weights, input_shape, pooling, classes, classifier_activation, name
    )


def ResNet101(
    include_top: bool = True,
    weights: str | None = "a1h_in1k",
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet101",
) -> keras.Model:
    """Builds ResNet-101, as timm's `resnet101`; for the rest see `ResNet18`.

    The last feature map is `[n, height / 32, width / 32, 2048]`.
    """
    return _resnet("resnet101", bottleneck_block, (3, 4, 23, 3)).build(
        include_top, weights, input_shape, pooling, classes, classifier_activation, name
    )


def ResNet152(
    include_top: bool = True,
    weights: str | None = "a1h_in1k",
    input_shape: tuple[int, int, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet152",
) -> keras.Model:
    """Builds ResNet-152, as timm's `resnet152`; for the rest see `ResNet18`.

    The last feature map is `[n, height / 32, width / 32, 2048]`.
    """
    return _resnet("resnet152", bottleneck_block, (3, 8, 36, 3)).build(
        include_top, weights, input_shape, pooling, classes, classifier_activation, name
    )


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

    Three stages of one basic block each, of 32, 64 and 128 channels, after a
    strided 3x3 convolution: small enough to be fine-tuned in seconds on a CPU. The
    weights `cifar10` come with this package; `experiments.pretrain` made them.

    Args:
        include_top: bool. Whether the model ends in a classifier.
        weights: str or None. `cifar10`, a path, or None; see `ResNet18`.
        input_shape: tuple of ints, (height, width, 3). Default: (32, 32, 3).
        pooling: `avg`, `max` or None; see `ResNet18`. The last feature map is
            `[n, height / 8, width / 8, 128]`.
        classes: int. The number of classes, if there is a classifier.
        classifier_activation: str or None. Activation of the classifier; None
            gives logits.
        name: str. The model's name.

    Returns:
        A functional `keras.Model`; `cifar10` expects images normalised with
        CIFAR10's statistics.

    Raises:
        UsageError: If there is no such tag, or the file can't be used.
    """
    network = functional.Network(
        "cifar_resnet8",
        lambda x: _stages(_cifar_stem(x), basic_block, (1, 1, 1), 32),
        top_name="fc",
        default_input_shape=(32, 32, 3),
    )
    return network.build(
        include_top, weights, input_shape, pooling, classes, classifier_activation, name
    )
