"""Normalization + backbone + head: one Keras model that takes raw pixels."""

from __future__ import annotations

import dataclasses
import warnings

import keras

from normtest_tf import backbones
from normtest_tf.backbones import layers
from normtest_tf.normalization import ChannelStatistics, folding
from normtest_tf.system import keras_setup
from normtest_tf.text import Notify


@dataclasses.dataclass(frozen=True)
class Task:
    """What a classifier tells apart."""

    image_shape: tuple[int, int, int]
    num_classes: int


@keras_setup.checked()
def build_classifier(
    network: backbones.PretrainedNetwork,
    normalization: keras.layers.Layer,
    task: Task,
    *,
    seed: int,
    precision: str = "float32",
    notify: Notify = warnings.warn,
) -> keras.Model:
    """Builds a classifier of raw images from stock Keras layers alone.

    Args:
        network: The backbone and its weights, from `backbones.resolve`.
        normalization: The layer from raw pixels to the backbone's inputs, from
            `normalization.Setting.layer`.
        task: The shape of the images and the number of logits.
        seed: Determines all initial weights, whatever the normalization; those of the
            head are the same on every backend.
        precision: A Keras dtype policy for the backbone. Normalization and
            logits are float32 under every policy.
        notify: Called if the classifier in a file that the user named was skipped.

    Returns:
        A model from raw RGB images, uint8 `[n, height, width, 3]`, to float32 logits.

    Raises:
        UsageError: If the images are too small for the backbone, or its weights
            can't be found, downloaded or used.

    Example:
        ```python
        task = Task(image_shape=(32, 32, 3), num_classes=10)
        model = build_classifier(
            backbones.resolve("resnet18", "none"),
            normalization_layer(IMAGENET, task.image_shape),
            task,
            seed=223,
        )
        logits = model(np.zeros([1, 32, 32, 3], "uint8"))
        ```
    """
    keras.utils.set_random_seed(seed)
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        backbone = network.build(task.image_shape, notify)
    finally:
        keras.config.set_dtype_policy(previous)
    inputs = keras.Input(task.image_shape, dtype="uint8", name="image")
    features = backbone(normalization(inputs))
    head = layers.linear(
        features.shape[-1],
        task.num_classes,
        name="head",
        bias=network.architecture.head_bias,
        seed=seed,
    )
    model = keras.Model(inputs, head(features), name="classifier")
    if keras.backend.backend() != "tensorflow":
        _draw_as_tensorflow(head)
    return model


def _draw_as_tensorflow(head: keras.layers.Dense) -> None:
    """Gives a head the initial weights that it has with TensorFlow."""
    import tensorflow as tf

    for variable, initializer in (
        (head.kernel, head.kernel_initializer),
        (head.bias, head.bias_initializer),
    ):
        if isinstance(initializer, keras.initializers.RandomUniform):
            seed = initializer.seed % (2**31 - 2)  # As Keras does.
            limits = initializer.minval, initializer.maxval
            with tf.device("CPU:0"):
                values = tf.random.stateless_uniform(variable.shape, [seed, 0], *limits)
            variable.assign(values.numpy())


def fold(
    model: keras.Model, network: backbones.PretrainedNetwork, given: ChannelStatistics
) -> None:
    """Makes a classifier of inputs normalised with `given` start as the control."""
    backbone, wanted = model.layers[-2], network.pretraining
    folding.fold(backbone, given, wanted.statistics, wanted.channel_order)
