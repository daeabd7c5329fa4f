"""The layers that turn raw pixels into a backbone's inputs.

They are stock Keras layers, so that a saved model loads anywhere, and compute in
float32 under every precision policy, since float16 constants would shift every
pixel.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from normtest_tf.normalization.statistics import PIXEL_MAX, ChannelStatistics

if TYPE_CHECKING:
    import keras

CHANNEL_ORDERS = ("rgb", "bgr")
# In squared pixel values: too small to change a visible image (its variance is
# in the hundreds), large enough that a constant channel becomes 0 and not NaN.
INSTANCE_EPSILON = 1e-5


def normalization_layer(
    statistics: ChannelStatistics,
    image_shape: tuple[int, int, int],
    channel_order: str = "rgb",
) -> keras.layers.Layer:
    """Builds the layer that normalises raw RGB pixels with given statistics.

    Use it as a model's first layer or map it over a `tf.data` pipeline.

    Args:
        statistics: The constants, in RGB order.
        image_shape: Height, width and 3.
        channel_order: `rgb`, or `bgr` for weights that were trained on BGR images.

    Returns:
        A layer from uint8 pixels `[n, height, width, 3]`, RGB, to float32 of the same
        shape in the backbone's channel order.

    Raises:
        ValueError: If there is no such channel order.

    Example:
    ```python
    layer = normalization_layer(IMAGENET, image_shape=(32, 32, 3))
    inputs = layer(np.zeros([1, 32, 32, 3], "uint8"))
    ```
    """
    return stack([affine(statistics, channel_order)], image_shape, channel_order)


def stack(
    layers: list[keras.layers.Layer],
    image_shape: tuple[int, int, int],
    channel_order: str,
) -> keras.layers.Layer:
    """Combines layers, the first of `channel_order`, into one from raw RGB pixels."""
    import keras  # Late: looking up a setting must not load TensorFlow.

    if channel_order not in CHANNEL_ORDERS:
        raise ValueError(
            f"channel_order must be 'rgb' or 'bgr'. Received: {channel_order!r}"
        )
    if channel_order == "bgr":
        # Keras has no layer that permutes channels, and an operation in the graph would
        # be saved under a private module path. A product with 0s and 1s is exact for
        # 8-bit pixels in every precision.
        flip = keras.layers.Dense(
            3,
            use_bias=False,
            kernel_initializer=keras.initializers.Constant(
                [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
            ),
            trainable=False,
            dtype="float32",
            name="rgb_to_bgr",
        )
        layers = [flip, *layers]
    if len(layers) == 1:
        # Building it inside a `tf.data` pipeline would tie its constants to that graph.
        layers[0].build((None, *image_shape))
        return layers[0]
    return keras.Sequential(
        [keras.Input(image_shape, dtype="uint8", name="pixels"), *layers],
        name="normalization",
    )


def affine(
    statistics: ChannelStatistics, channel_order: str = "rgb"
) -> keras.layers.Layer:
    """Returns the layer that computes (pixel - mean) / std of channels in an order."""
    import keras

    step = 1 if channel_order == "rgb" else -1
    mean = np.array(statistics.mean[::step]) * PIXEL_MAX
    std = np.array(statistics.std[::step]) * PIXEL_MAX
    return keras.layers.Normalization(
        mean=mean.tolist(),
        variance=(std**2).tolist(),
        dtype="float32",
        name="normalization",
    )


def instance(image_shape: tuple[int, int, int]) -> list[keras.layers.Layer]:
    """Returns layers that give each channel of each image mean 0 and unbiased std 1."""
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
