"""Normalization + backbone + head: one Keras model that takes raw pixels."""

from __future__ import annotations

import keras

from normtest_tf import backbones
from normtest_tf.backbones import functional
from normtest_tf.normalization import ChannelStatistics, normalization_layer


def build_classifier(
    source: backbones.Source,
    statistics: ChannelStatistics | None,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    seed: int,
    precision: str = "float32",
) -> tuple[keras.Model, list[str]]:
    """Builds a classifier of raw images, of stock Keras layers alone.

    Args:
        source: The backbone and its weights, from `backbones.resolve`.
        statistics: What to normalise with, or None for each image's own; from
            `normalization.resolve_statistics`.
        image_shape: Height, width and 3.
        num_classes: The number of logits.
        seed: The model seed. It alone decides the head's initial weights (and,
            without pre-trained weights, the backbone's), whatever `statistics` is.
        precision: A Keras dtype policy for the backbone. Normalization and
            logits are float32 under every policy.

    Returns:
        The model, from raw RGB images `[n, height, width, 3]`, uint8, to float32
        logits `[n, num_classes]`; and sentences on what was left out of a
        weights file.

    Raises:
        UsageError: If the images are too small for the backbone, or its weights
            can't be had or used.

    Example:
        ```python
        model, _ = build_classifier(
            backbones.resolve("resnet18", "none"),
            normalization.IMAGENET,
            image_shape=(32, 32, 3),
            num_classes=10,
            seed=223,
        )
        logits = model(np.zeros([1, 32, 32, 3], "uint8"))
        ```
    """
    keras.utils.set_random_seed(seed)
    channel_order = source.pretraining.channel_order
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        backbone, left_out = backbones.build(source, image_shape)
    finally:
        keras.config.set_dtype_policy(previous)
    inputs = keras.Input(image_shape, dtype="uint8", name="image")
    x = normalization_layer(statistics, image_shape, channel_order)(inputs)
    features = backbone(x)
    head = functional.linear(
        features.shape[-1],
        num_classes,
        name="head",
        bias=backbones.get(source.architecture).head_bias,
        seed=seed,
    )
    logits = head(features)
    return keras.Model(inputs, logits, name="classifier"), left_out
