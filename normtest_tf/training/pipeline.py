"""tf.data pipelines over images in memory or in a file.

Batches are formed first and augmented whole, as uint8, because that is several
times faster than one image at a time. All randomness is stateless: the order of
an epoch follows from (seed, epoch) and the augmentation of a batch from (seed,
epoch, batch), so a resumed run, and every normalization setting with the same
seed, sees exactly the same pixels.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from normtest_tf.datasets import Images
from normtest_tf.training.augmentation import AUGMENTATIONS

MAX_COPIED = 2**28  # Bytes; CIFAR's training images have 147 MiB.


def training_batches(
    images: Images,
    labels: np.ndarray,
    *,
    batch_size: int,
    seed: int,
    epochs: range,
    augmentation: str,
) -> tf.data.Dataset:
    """Returns the augmented batches of some epochs, counted from 0.

    The last batch of each may be shorter; those of images in a file are read in
    parallel.
    """
    take = _taking(images)
    augment = AUGMENTATIONS[augmentation]
    with tf.device("CPU:0"):
        all_labels = tf.constant(labels, tf.int32)

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(images)), seed=_seed(seed, epoch)
        )
        batches = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
        return batches.enumerate().map(lambda index, batch: (epoch, index, batch))

    def make_batch(
        epoch: tf.Tensor, index: tf.Tensor, batch: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        key = tf.random.fold_in(_seed(seed, epoch), index + 1)
        augmented = augment(take(batch), key)
        augmented.set_shape([None, *images.shape[1:]])
        return augmented, tf.gather(all_labels, batch)

    return (
        tf.data.Dataset.range(epochs.start, epochs.stop)
        .flat_map(epoch_batches)
        .map(make_batch, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(4)
    )


def evaluation_batches(
    images: Images, labels: np.ndarray, batch_size: int
) -> tf.data.Dataset:
    """Returns all examples once, in order, the short last batch included."""
    options = tf.data.Options()
    # There is nothing to tune, and ending its thread takes up to half a second.
    options.autotune.enabled = False
    with tf.device("CPU:0"):
        all_labels = tf.constant(labels, tf.int32)
        if _is_copied(images):
            tensors = tf.constant(images), all_labels
            batches = tf.data.Dataset.from_tensor_slices(tensors).batch(batch_size)
            return batches.prefetch(4).with_options(options)
    take = _taking(images)
    batches = (
        tf.data.Dataset.range(len(labels), output_type=tf.int32)
        .batch(batch_size)
        .map(
            lambda batch: (take(batch), tf.gather(all_labels, batch)),
            num_parallel_calls=os.cpu_count(),
        )
    )
    return batches.prefetch(1).with_options(options)


def _taking(images: Images) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function from positions to these images."""
    if _is_copied(images):
        with tf.device("CPU:0"):
            tensor = tf.constant(images)
        return lambda positions: tf.gather(tensor, positions)
    read = images.__getitem__ if isinstance(images, np.ndarray) else images.read

    def take(positions: tf.Tensor) -> tf.Tensor:
        batch = tf.numpy_function(read, [positions], tf.uint8, stateful=False)
        batch.set_shape([None, *images.shape[1:]])
        return batch

    return take


def _is_copied(images: Images) -> bool:
    """Tells whether TensorFlow gets a copy of the images, which is a little faster."""
    return isinstance(images, np.ndarray) and images.nbytes <= MAX_COPIED


def _seed(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Returns the stateless seed of an epoch."""
    base = tf.constant([seed >> 16, seed & 0xFFFF], tf.int32)
    return tf.random.fold_in(base, tf.cast(epoch, tf.int32))
