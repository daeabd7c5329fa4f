"""Random crops and flips of whole batches.

An augmentation takes images `[n, height, width, channels]` and a stateless seed, int
`[2]`, and returns images of the same shape and dtype. The same seed gives the same
pixels, and with the same seed all augmentations mirror the same images.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

from normtest_tf.training import choices

# As in torchvision's RandomResizedCrop.
SCALE = (0.08, 1.0)  # Of the crop's area, in that of the image.
RATIO = (3 / 4, 4 / 3)  # Of the crop's width to its height.
TRIES = 10


def pad_crop_flip(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Pads with black, crops back to the size at random, and mirrors half of them."""
    padding = choices.padding(choices.PAD_CROP_FLIP, min(images.shape[1:3]))
    offset_key, flips = _split(images, key)
    offsets = tf.random.stateless_uniform(
        [tf.shape(images)[0], 2], offset_key, maxval=2 * padding + 1, dtype=tf.int32
    )
    return shift_and_flip(images, offsets, flips, padding)


def random_resized_crop_flip(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Crops at random, resizes the crops to the size, and mirrors half of them."""
    box_key, flips = _split(images, key)
    height, width = images.shape[1:3]
    boxes = crop_boxes(box_key, tf.shape(images)[0], height, width)
    return mirror(crop_and_resize(images, boxes), flips)


def flip(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Mirrors half of the images."""
    _, flips = _split(images, key)
    return mirror(images, flips)


def none(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Returns the images as they are."""
    del key
    return images


AUGMENTATIONS: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    choices.PAD_CROP_FLIP: pad_crop_flip,
    choices.RANDOM_RESIZED_CROP_FLIP: random_resized_crop_flip,
    choices.FLIP: flip,
    choices.NONE: none,
}


def _split(images: tf.Tensor, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns a seed for the crops, and which images are mirrored, bool `[n]`."""
    crop_key, flip_key = tf.unstack(tf.random.split(key))
    return crop_key, tf.random.stateless_uniform([tf.shape(images)[0]], flip_key) < 0.5


def shift_and_flip(
    images: tf.Tensor, offsets: tf.Tensor, flips: tf.Tensor, padding: int
) -> tf.Tensor:
    """Crops each padded image at its own row and column, and mirrors some of them."""
    height, width = images.shape[1:3]
    padded = tf.pad(images, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
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
        found,
        tf.gather(sizes, first, batch_dims=1),
        tf.constant(central, tf.float32),
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
