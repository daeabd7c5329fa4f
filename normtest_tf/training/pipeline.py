"""tf.data pipelines over images in memory or in a file, and their augmentation.

Batches are formed first and augmented whole, as uint8, because that is several
times faster than one image at a time. All randomness is stateless: the order of
an epoch follows from (seed, epoch) and the augmentation of a batch from (seed,
epoch, batch), so a resumed run, and every normalization setting with the same
seed, sees exactly the same pixels.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from normtest_tf.datasets import Images
from normtest_tf.training import choices

MAX_COPIED = 2**28  # Bytes; CIFAR's training images have 147 MiB.
# As in torchvision's RandomResizedCrop.
SCALE = (0.08, 1.0)  # Of the crop's area, in that of the image.
RATIO = (3 / 4, 4 / 3)  # Of the crop's width to its height.
TRIES = 10


@dataclasses.dataclass(frozen=True)
class Split:
    """Images and labels of one split."""

    images: Images  # uint8 [n, height, width, 3], in memory or not; or features.
    labels: np.ndarray  # int [n].

    def __len__(self) -> int:
        return len(self.images)


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """What a model is trained and evaluated on."""

    train: Split
    # By the prefix of their columns in the history: `test`, perhaps `validation`.
    evaluations: Mapping[str, Split]
    seed: int  # Determines the order of examples and their augmentation.
    augmentation: str = choices.PAD_CROP_FLIP
    black: tuple[int, ...] = (0, 0, 0)  # The padding: what the shift makes of black.


def training_batches(
    data: TrainingData, batch_size: int, epochs: range
) -> tf.data.Dataset:
    """Returns the augmented batches of some epochs, counted from 0.

    The last batch of each may be shorter; those of images in a file are read in
    parallel.
    """
    images = data.train.images
    take = _taking(images)
    augment = AUGMENTATIONS[data.augmentation]
    if augment is pad_crop_flip:
        augment = functools.partial(pad_crop_flip, black=data.black)
    with tf.device("CPU:0"):
        all_labels = tf.constant(data.train.labels, tf.int32)

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(images)), seed=_seed(data.seed, epoch)
        )
        batches = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
        return batches.enumerate().map(lambda index, batch: (epoch, index, batch))

    def make_batch(
        epoch: tf.Tensor, index: tf.Tensor, batch: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        key = tf.random.fold_in(_seed(data.seed, epoch), index + 1)
        augmented = augment(take(batch), key)
        augmented.set_shape([None, *images.shape[1:]])
        return augmented, tf.gather(all_labels, batch)

    return (
        tf.data.Dataset.range(epochs.start, epochs.stop)
        .flat_map(epoch_batches)
        .map(make_batch, num_parallel_calls=os.cpu_count())
        .prefetch(4)
        .with_options(untuned())
    )


def evaluation_batches(split: Split, batch_size: int) -> tf.data.Dataset:
    """Returns all examples once, in order, the short last batch included."""
    take = _taking(split.images)
    with tf.device("CPU:0"):
        all_labels = tf.constant(split.labels, tf.int32)
    return (
        tf.data.Dataset.range(len(split), output_type=tf.int32)
        .batch(batch_size)
        .map(
            lambda batch: (take(batch), tf.gather(all_labels, batch)),
            num_parallel_calls=os.cpu_count(),
        )
        .prefetch(1)
        .with_options(untuned())
    )


def untuned() -> tf.data.Options:
    """Returns options without tuning: its thread took up to 17 idle seconds to end."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.inject_prefetch = False
    return options


def _taking(images: Images) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function from positions to these images."""
    if isinstance(images, np.ndarray) and images.nbytes <= MAX_COPIED:  # A bit faster.
        with tf.device("CPU:0"):
            tensor = tf.constant(images)
        return lambda positions: tf.gather(tensor, positions)
    read = images.__getitem__ if isinstance(images, np.ndarray) else images.read

    def take(positions: tf.Tensor) -> tf.Tensor:
        batch = tf.numpy_function(read, [positions], images.dtype, stateful=False)
        batch.set_shape([None, *images.shape[1:]])
        return batch

    return take


def _seed(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Returns the stateless seed of an epoch."""
    base = tf.constant([seed >> 16, seed & 0xFFFF], tf.int32)
    return tf.random.fold_in(base, tf.cast(epoch, tf.int32))


# An augmentation takes images `[n, height, width, channels]` and a stateless seed, int
# `[2]`, and returns images of the same shape and dtype. The same seed gives the same
# pixels, and with the same seed all augmentations mirror the same images.


def pad_crop_flip(
    images: tf.Tensor, key: tf.Tensor, black: tuple[int, ...] = (0, 0, 0)
) -> tf.Tensor:
    """Pads with black, crops back to the size at random, and mirrors half of them."""
    padding = choices.padding(choices.PAD_CROP_FLIP, min(images.shape[1:3]))
    offset_key, flips = _keys(images, key)
    offsets = tf.random.stateless_uniform(
        [tf.shape(images)[0], 2], offset_key, maxval=2 * padding + 1, dtype=tf.int32
    )
    return shift_and_flip(images, offsets, flips, padding, black)


def random_resized_crop_flip(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Crops at random, resizes the crops to the size, and mirrors half of them."""
    box_key, flips = _keys(images, key)
    height, width = images.shape[1:3]
    boxes = crop_boxes(box_key, tf.shape(images)[0], height, width)
    return mirror(crop_and_resize(images, boxes), flips)


def flip(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Mirrors half of the images."""
    _, flips = _keys(images, key)
    return mirror(images, flips)


AUGMENTATIONS: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    choices.PAD_CROP_FLIP: pad_crop_flip,
    choices.RANDOM_RESIZED_CROP_FLIP: random_resized_crop_flip,
    choices.FLIP: flip,
    choices.NONE: lambda images, key: images,
}


def _keys(images: tf.Tensor, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns a seed for the crops, and which images are mirrored, bool `[n]`."""
    crop_key, flip_key = tf.unstack(tf.random.split(key))
    return crop_key, tf.random.stateless_uniform([tf.shape(images)[0]], flip_key) < 0.5


def shift_and_flip(
    images: tf.Tensor,
    offsets: tf.Tensor,
    flips: tf.Tensor,
    padding: int,
    black: tuple[int, ...] = (0, 0, 0),
) -> tf.Tensor:
    """Crops each padded image at its own row and column, and mirrors some of them."""
    height, width = images.shape[1:3]
    border = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
    padded = tf.pad(images, border)
    if any(black):  # `tf.pad` has one value for all channels.
        inside = tf.pad(tf.ones_like(images, tf.bool), border)
        padded = tf.where(inside, padded, tf.constant(black, images.dtype))
    rows = offsets[:, :1] + tf.range(height)
    columns = offsets[:, 1:] + tf.range(width)
    columns = tf.where(flips[:, tf.newaxis], columns[:, ::-1], columns)
    padded = tf.gather(padded, rows, axis=1, batch_dims=1)
    return tf.gather(padded, columns, axis=2, batch_dims=1)


def mirror(images: tf.Tensor, flips: tf.Tensor) -> tf.Tensor:
    """Mirrors the images with a flip, bool `[n]`, left to right."""
    columns = tf.range(images.shape[2])
    columns = tf.where(flips[:, tf.newaxis], columns[::-1], columns)
    return tf.gather(images, columns, axis=2, batch_dims=1)  # Faster than `tf.reverse`.


def crop_boxes(key: tf.Tensor, count: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Draws crops as torchvision's `RandomResizedCrop` does.

    The first of ten random crops that fits is taken; if none does, the largest central
    one. Returns int32 `[count, 4]`: first row, first column, height and width.
    """
    area_key, ratio_key, corner_key = tf.unstack(tf.random.split(key, 3))
    uniform = tf.random.stateless_uniform
    areas = height * width * uniform([count, TRIES], area_key, *SCALE)
    ratios = tf.exp(uniform([count, TRIES], ratio_key, *map(math.log, RATIO)))
    sizes = tf.round(tf.sqrt(tf.stack([areas / ratios, areas * ratios], axis=2)))
    whole = tf.constant([height, width], tf.float32)
    fit = tf.reduce_all((sizes > 0) & (sizes <= whole), axis=2)
    first = tf.argmax(tf.cast(fit, tf.int32), axis=1)
    found = tf.reduce_any(fit, axis=1, keepdims=True)
    low, high = RATIO
    central = min(height, round(width / low)), min(width, round(height * high))
    size = tf.where(
        found, tf.gather(sizes, first, batch_dims=1), tf.constant(central, tf.float32)
    )
    room = whole - size
    corner = tf.where(found, uniform([count, 2], corner_key) * (room + 1), room / 2)
    return tf.cast(tf.concat([tf.floor(corner), size], axis=1), tf.int32)


def crop_and_resize(images: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Is Pillow's `crop(box).resize(size, BILINEAR)` within one grey level."""
    size = images.shape[1:3]

    def one(image_and_box: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        image, box = image_and_box
        top, left, height, width = tf.unstack(box)
        crop = image[tf.newaxis, top : top + height, left : left + width]
        resized = tf.raw_ops.ResizeBilinear(
            images=crop, size=size, half_pixel_centers=True
        )
        return tf.cast(resized[0] + 0.5, tf.uint8)

    # One by one, a crop stays in the cache: faster than gathering whole batches.
    resized = tf.map_fn(one, (images, boxes), fn_output_signature=tf.uint8)
    return tf.ensure_shape(resized, images.shape)
