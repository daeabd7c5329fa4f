"""The images that a diagnosis is made from: an array or a `tf.data` data set."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from normtest_tf import errors

EXAMPLES = 512  # Images used, unless told otherwise.
MAX_PIXELS = 2**19  # In a batch: 512 images of 32x32, 10 of 224x224.


def collect(
    images: Any,  # noqa: ANN401  (an array, or anything that yields tensors)
    labels: np.ndarray | None = None,
    examples: int = EXAMPLES,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the first images of what the user passed, and their labels.

    Args:
        images: uint8 `[n, height, width, 3]`, or a `tf.data.Dataset` (or another
            iterable) of images or of (image, label), batched or not. Other dtypes are
            accepted where all values are whole numbers from 0 to 255.
        labels: int `[n]`, for an array.
        examples: How many to use at most.

    Returns:
        uint8 `[n, height, width, 3]` and int64 `[n]`, or None without labels.

    Raises:
        UsageError: If they are something else, or there are none.
    """
    if hasattr(images, "shape") and hasattr(images, "__array__"):
        images = np.asarray(images[:examples])
        labels = None if labels is None else np.asarray(labels)[:examples]
    else:
        images, labels = _from_iterable(images, labels, examples)
    images = _as_uint8(images)
    if labels is not None:
        labels = _checked_labels(np.asarray(labels), len(images))
    return images, labels


def _from_iterable(
    elements: Iterable[Any], labels: np.ndarray | None, examples: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the first images and labels of a data set, batched or not."""
    if not isinstance(elements, Iterable):
        raise errors.UsageError(
            "images must be a uint8 array [n, height, width, 3] or a tf.data.Dataset. "
            f"Received: {type(elements).__name__}"
        )
    found: list[np.ndarray] = []
    classes: list[np.ndarray] = []
    count = 0
    for element in elements:
        parts = element if isinstance(element, tuple | list) else (element,)
        block = np.asarray(parts[0])
        block = block[None] if block.ndim == 3 else block
        if found and block.shape[1:] != found[0].shape[1:]:
            raise errors.UsageError(
                "all images must have one size. Received: "
                f"{found[0].shape[1:]} and {block.shape[1:]}; resize them first"
            )
        found.append(block)
        classes += [np.atleast_1d(np.asarray(part)) for part in parts[1:2]]
        count += len(block)
        if count >= examples:
            break
    if not found:
        raise errors.UsageError("images must not be empty. Received: no images")
    if labels is None and classes:
        labels = np.concatenate(classes)
    kept = None if labels is None else np.asarray(labels)[:examples]
    return np.concatenate(found)[:examples], kept


def _as_uint8(images: np.ndarray) -> np.ndarray:
    """Returns images as uint8, if that is what their values are."""
    if images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape:
        raise errors.UsageError(
            "images must be RGB, uint8 [n, height, width, 3], n at least 1. Received: "
            f"shape {list(images.shape)}"
        )
    if images.dtype == np.uint8:
        return images
    if not np.all(np.isfinite(images)):
        raise errors.UsageError(
            "images must be pixels from 0 to 255. Received: values that are not finite"
        )
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 255 or np.any(images != np.round(images)):
        raise errors.UsageError(
            "images must be pixels from 0 to 255, not yet normalised. Received: "
            f"{images.dtype} from {low:.3g} to {high:.3g}"
        )
    if high <= 1:
        raise errors.UsageError(
            "images must be pixels from 0 to 255. Received: "
            f"{images.dtype} with only {low:.0f} and {high:.0f}; multiply them by 255"
        )
    return images.astype(np.uint8)


def _checked_labels(labels: np.ndarray, images: int) -> np.ndarray:
    """Returns class numbers `[n]`; one-hot rows are turned into them."""
    if labels.ndim == 2 and labels.shape[1] > 1:
        labels = labels.argmax(axis=1)
    rows = labels.reshape(len(labels), -1) if labels.size else labels
    if rows.shape != (images, 1) or not np.all(rows == np.round(rows)):
        raise errors.UsageError(
            f"labels must be one class number for each of the {images} images. "
            f"Received: shape {list(labels.shape)}, dtype {labels.dtype}"
        )
    return rows[:, 0].astype(np.int64)


def batch_size_for(image_shape: tuple[int, ...], batch_size: int) -> int:
    """Returns the images of a batch, fewer where they are large: memory is bounded.

    Args:
        image_shape: Height, width and 3.
        batch_size: How many there should be.
    """
    pixels = math.prod(image_shape[:2])
    return max(min(batch_size, 4), min(batch_size, MAX_PIXELS // pixels))
