"""Residual networks with exactly the graphs of timm and torchvision.

Differences from `keras.applications.ResNet50` that change the outputs: the stride of a
bottleneck is on its 3x3 convolution, not on its first 1x1, convolutions have no bias,
and batch normalization has epsilon 1e-5 and momentum 0.9 (Keras: 1.001e-5 and 0.99). A
layer is named after PyTorch's module, with underscores for dots.

He et al., "Deep Residual Learning for Image Recognition" (2015).
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras

from normtest_tf.backbones import layers
from normtest_tf.backbones.layers import Tensor
from normtest_tf.backbones.pretrained import builder

EXPANSION = 4  # Ratio of a bottleneck's output channels to its 3x3 convolution's.

Block = Callable[[Tensor, int, int, str], Tensor]  # (x, filters, strides, name) -> x


def _convolve(x: Tensor, filters: int, size: int, strides: int, name: str) -> Tensor:
    """Applies a convolution, whose name has `conv`, batch normalization and ReLU."""
    x = layers.convolution(x, filters, size, strides, name)
    return layers.norm_relu(x, name.replace("conv", "bn"), name.replace("conv", "act"))


def _shortcut(x: Tensor, filters: int, strides: int, name: str) -> Tensor:
    """Returns `x`, or a 1x1 projection of it if the block changes the shape."""
    if strides == 1 and x.shape[-1] == filters:
        return x
    x = layers.convolution(x, filters, 1, strides, f"{name}_downsample_0")
    return layers.batch_norm(x, f"{name}_downsample_1")


def _end(
    x: Tensor, shortcut: Tensor, filters: int, size: int, name: str, number: int
) -> Tensor:
    """Applies the last convolution of a block and adds the shortcut."""
    x = layers.convolution(x, filters, size, 1, f"{name}_conv{number}")
    # As in timm, the last scale starts at 0, so that the block starts as the identity.
    x = layers.batch_norm(x, f"{name}_bn{number}", gamma="zeros")
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_act{number}")(x)


def basic_block(x: Tensor, filters: int, strides: int, name: str) -> Tensor:
    """Applies two 3x3 convolutions and adds the shortcut."""
    shortcut = _shortcut(x, filters, strides, name)
    x = _convolve(x, filters, 3, strides, f"{name}_conv1")
    return _end(x, shortcut, filters, 3, name, 2)


def bottleneck_block(x: Tensor, filters: int, strides: int, name: str) -> Tensor:
    """Applies 1x1, 3x3 and 1x1 convolutions and adds the shortcut.

    `filters` are those of the 3x3 convolution, a quarter of the output's channels.
    """
    shortcut = _shortcut(x, EXPANSION * filters, strides, name)
    x = _convolve(x, filters, 1, 1, f"{name}_conv1")
    x = _convolve(x, filters, 3, strides, f"{name}_conv2")
    return _end(x, shortcut, EXPANSION * filters, 1, name, 3)


def _stages(x: Tensor, block: Block, depths: tuple[int, ...], width: int) -> Tensor:
    """Stacks the stages; all but the first halve the resolution and double `width`."""
    for stage, depth in enumerate(depths):
        for index in range(depth):
            strides = 2 if stage > 0 and index == 0 else 1
            x = block(x, width * 2**stage, strides, f"layer{stage + 1}_{index}")
    return x


def _resnet(depth: int, block: Block, *depths: int) -> Callable[..., keras.Model]:
    """Makes the function of a ResNet for ImageNet."""

    def features(x: Tensor) -> Tensor:
        x = layers.max_pool(_convolve(x, 64, 7, 2, "conv1"), "maxpool")
        return _stages(x, block, depths, 64)

    return builder(
        f"resnet{depth}",
        features,
        title=f"ResNet-{depth}, equivalent to timm's `resnet{depth}`",
        channels=512 if block is basic_block else 512 * EXPANSION,
    )


ResNet18 = _resnet(18, basic_block, 2, 2, 2, 2)
ResNet34 = _resnet(34, basic_block, 3, 4, 6, 3)
ResNet50 = _resnet(50, bottleneck_block, 3, 4, 6, 3)
ResNet101 = _resnet(101, bottleneck_block, 3, 4, 23, 3)
ResNet152 = _resnet(152, bottleneck_block, 3, 8, 36, 3)


def _cifar_resnet8(x: Tensor) -> Tensor:
    """In the manner of He et al., section 4.2: fine-tuned in seconds on a CPU."""
    x = _convolve(x, 32, 3, 2, "conv1")
    return _stages(x, basic_block, (1, 1, 1), 32)


# Both come with weights, which `experiments.pretrain` made with one recipe.
_cifar = functools.partial(
    builder, channels=128, default_shape=(32, 32, 3), default_classes=10, stride=8
)
CifarResNet8 = _cifar(
    "cifar_resnet8", _cifar_resnet8, title="a small ResNet for 32x32 images"
)
CifarResNet8GN = _cifar(
    "cifar_resnet8_gn",
    lambda x: layers.group_normalized(x, _cifar_resnet8(x)),
    title="`CifarResNet8` with group in place of batch normalization",
)
