"""Normalization settings, channel statistics, and the layers that apply them.

Every setting but `instance` is one affine map per channel, so every one of
them is a single `keras.layers.Normalization` on raw pixels from 0 to 255. Only
its constants differ: the statistics of the fine-tuning set, those that the
backbone was pre-trained with, or a plain scaling to [0, 1].
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import TYPE_CHECKING

import numpy as np

from normtest_tf import errors

if TYPE_CHECKING:
    import keras

SETTINGS = {
    "finetune": "mean and std of the fine-tuning set's training images",
    "pretrain": "mean, std and channel order that the weights were pre-trained with",
    "instance": "each image's own channel mean and unbiased std",
    "minmax": "pixels scaled to [0, 1], nothing else",
}

PIXEL_MAX = 255.0
# In squared pixel values: too small to change a visible image (its variance is
# in the hundreds), large enough that a constant channel becomes 0 and not NaN.
INSTANCE_EPSILON = 1e-5


@dataclasses.dataclass(frozen=True)
class ChannelStatistics:
    """Mean and standard deviation of the red, green and blue channel.

    Attributes:
        mean: Three floats, for pixels scaled to [0, 1], in RGB order.
        std: Three floats in the same units, none of them 0.
        definition: What "std" means here. `pooled`: over all pixels of all
            images. `per-image`: the mean over images of each image's std, which
            is smaller. `fixed`: chosen, not measured.
        source: Where the numbers come from.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    definition: str
    source: str


IMAGENET = ChannelStatistics(
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    definition="per-image",
    source="torchvision's constants (pytorch/vision#1439 tells how they were computed)",
)
MINMAX = ChannelStatistics(
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    definition="fixed",
    source="scaling to [0, 1]",
)


def channel_statistics(images: np.ndarray, source: str) -> ChannelStatistics:
    """Computes pooled channel statistics exactly, from histograms of the pixels.

    Sums over millions of pixels lose digits in float32; counts of the 256
    values of a pixel are exact, and a weighted mean of them is exact to float64.

    Args:
        images: uint8 array `[n, height, width, 3]`, n > 0.
        source: What the images are, for the record.

    Returns:
        The pooled statistics. A channel that is constant over all images gets
        std 1, with a warning, since dividing by 0 would leave nothing to learn.

    Raises:
        ValueError: If `images` is not a non-empty uint8 batch of RGB images.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(
            "images must be uint8 [n, height, width, 3]. "
            f"Received: dtype={images.dtype}, shape={images.shape}"
        )
    if images.size == 0:
        raise ValueError(f"images must not be empty. Received: shape={images.shape}")
    values = np.arange(256) / PIXEL_MAX
    means, stds = [], []
    for channel, name in enumerate(("red", "green", "blue")):
        counts = np.bincount(images[..., channel].ravel(), minlength=256)
        mean = np.average(values, weights=counts)
        std = math.sqrt(np.average((values - mean) ** 2, weights=counts))
        if np.count_nonzero(counts) == 1:
            warnings.warn(
                f"the {name} channel is constant over {source}; its std is taken as 1",
                stacklevel=2,
            )
            std = 1.0
        means.append(float(mean))
        stds.append(std)
    return ChannelStatistics(tuple(means), tuple(stds), "pooled", source)


def resolve_statistics(
    setting: str, training_images: np.ndarray, pretraining: ChannelStatistics
) -> ChannelStatistics | None:
    """Returns the constants that a setting normalises with.

    Args:
        setting: A key of `SETTINGS`.
        training_images: uint8 `[n, height, width, 3]`, the images trained on.
        pretraining: What the backbone's weights were pre-trained with.

    Returns:
        The statistics, or None for `instance`, which has no constants.

    Raises:
        UsageError: If there is no such setting.
    """
    if setting == "finetune":
        return channel_statistics(training_images, "the training images of this run")
    if setting == "pretrain":
        return pretraining
    if setting == "minmax":
        return MINMAX
    if setting == "instance":
        return None
    raise errors.unknown_name("normalization", setting, list(SETTINGS))


def normalization_layer(
    statistics: ChannelStatistics | None,
    image_shape: tuple[int, int, int],
    channel_order: str = "rgb",
) -> keras.layers.Layer:
    """Builds the layer that turns raw RGB pixels into a backbone's input.

    It consists of stock Keras layers alone and computes in float32 under every
    precision policy, since float16 constants would shift every pixel. It serves
    as a model's first layer or mapped over a `tf.data` pipeline.

    Args:
        statistics: The constants, or None to normalise each image by its own.
        image_shape: Height, width and 3.
        channel_order: `rgb`, or `bgr` for weights that were trained on BGR images.

    Returns:
        A layer from uint8 or float pixels `[n, height, width, 3]`, 0 to 255, RGB,
        to float32 of the same shape in the backbone's channel order.

    Example:
    ```python
    layer = normalization_layer(IMAGENET, image_shape=(32, 32, 3))
    inputs = layer(np.zeros([1, 32, 32, 3], "uint8"))
    ```
    """
    import keras  # Naming a setting must not cost the import of TensorFlow.

    if channel_order not in ("rgb", "bgr"):
        raise ValueError(
            f"channel_order must be 'rgb' or 'bgr'. Received: {channel_order!r}"
        )
    layers = []
    if channel_order == "bgr":
        layers.append(_channel_flip())
    if statistics is None:
        layers.extend(_instance_layers(image_shape))
    else:
        step = 1 if channel_order == "rgb" else -1
        mean = np.array(statistics.mean[::step]) * PIXEL_MAX
        std = np.array(statistics.std[::step]) * PIXEL_MAX
        layers.append(
            keras.layers.Normalization(
                mean=mean.tolist(),
                variance=(std**2).tolist(),
                dtype="float32",
                name="normalization",
            )
        )
    if len(layers) == 1:
        # Built here, since a `tf.data` pipeline would trap its constants.
        layers[0].build((None, *image_shape))
        return layers[0]
    return keras.Sequential(
        [keras.Input(image_shape, dtype="uint8"), *layers], name="normalization"
    )


def _channel_flip() -> keras.layers.Layer:
    """Returns a frozen dense layer that reverses the channels, exactly."""
    import keras

    # Keras has no layer that permutes channels, and an operation in the graph
    # would be saved under a private module path. A product with 0s and 1s is
    # exact for 8-bit pixels in every precision.
    return keras.layers.Dense(
        3,
        use_bias=False,
        kernel_initializer=keras.initializers.Constant(
            [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
        ),
        trainable=False,
        dtype="float32",
        name="rgb_to_bgr",
    )


def _instance_layers(image_shape: tuple[int, int, int]) -> list[keras.layers.Layer]:
    """Returns layers that give every channel of every image mean 0 and std 1."""
    import keras

    pixels = image_shape[0] * image_shape[1]
    return [
        # Group normalization returns its input's dtype, which must not be uint8.
        keras.layers.Rescaling(1.0, dtype="float32", name="to_float"),
        keras.layers.GroupNormalization(
            groups=3,
            epsilon=INSTANCE_EPSILON,
            center=False,
            scale=False,
            dtype="float32",
            name="instance_normalization",
        ),
        # PyTorch's std divides by n - 1, group normalization's by n.
        keras.layers.Rescaling(
            math.sqrt((pixels - 1) / pixels), dtype="float32", name="unbiased_std"
        ),
    ]
