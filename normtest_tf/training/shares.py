"""Which part of a batch a device computes, where TensorFlow trains on several.

The parts differ by at most one image. A batch with fewer images than devices is
computed whole by each of them, so none is empty, and counts once.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import tensorflow as tf


class Share(NamedTuple):
    """A device's part of a batch; all values are scalar tensors.

    Attributes:
        first: int32, the position of its first image.
        end: int32, the position after its last one.
        batch: int32, the number of images in the batch.
        counted: int32, how many of its images no other device counts, too.
        weight: float64, the part's in a mean over the batch. Those of all devices add
            up to 1.
    """

    first: tf.Tensor
    end: tf.Tensor
    batch: tf.Tensor
    counted: tf.Tensor
    weight: tf.Tensor


class _Current(threading.local):
    """The share of the step that a thread traces; each device has its thread."""

    share: Share | None = None


_current = _Current()


def of_device(batch: tf.Tensor, device: tf.Tensor, devices: int) -> Share:
    """Returns a device's part of a batch.

    Args:
        batch: int32, the number of images in it.
        device: int32, from 0.
        devices: How many there are.
    """
    import tensorflow as tf

    is_shared = batch >= devices
    first = tf.where(is_shared, device * batch // devices, 0)
    end = tf.where(is_shared, (device + 1) * batch // devices, batch)
    images = end - first
    parts = tf.where(is_shared, batch, batch * devices)
    weight = images / parts  # TensorFlow divides integers as float64.
    counted = tf.where(is_shared | (device == 0), images, 0)
    return Share(first, end, batch, counted, weight)


def current() -> Share | None:
    """Returns this device's part of the batch; None where one device has it all."""
    return _current.share


@contextlib.contextmanager
def computing(share: Share) -> Iterator[None]:
    """Makes a share the current one while a block runs."""
    _current.share = share
    try:
        yield
    finally:
        _current.share = None
