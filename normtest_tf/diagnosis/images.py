"""The images that a diagnosis is made from: an array or a `tf.data` data set."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from normtest_tf import errors
from normtest_tf.diagnosis import checks

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
        labels: int `[n]`, for an array or a list of all images.
        examples: How many to use at most.

    Returns:
        uint8 `[n, height, width, 3]` and int64 `[n]`, or None without labels.

    Raises:
        UsageError: If they are something else, or there are none.
    """
    checks.check_count("examples", examples, 1)
    if _is_array(images):
        found = np.asarray(images[:examples] if len(images.shape) else images)
        total = len(images) if found.ndim else 0
    else:
        total, found, labels = _from_iterable(images, labels, examples)
    found = pixels(found)
    if labels is not None:
        labels = _checked_labels(labels, total)[:examples]
    return found, labels


def _is_array(value: Any) -> bool:  # noqa: ANN401  (a user's)
    return hasattr(value, "shape") and hasattr(value, "__array__")


def _from_iterable(
    elements: Any,  # noqa: ANN401  (a user's)
    labels: np.ndarray | None,
    examples: int,
) -> tuple[int, np.ndarray, np.ndarray | None]:
    """Returns how many images were counted, the first ones, and labels for all."""
    texts = (str, bytes, os.PathLike, Mapping)
    if isinstance(elements, texts) or not isinstance(elements, Iterable):
        raise errors.UsageError(
            "images must be a uint8 array [n, height, width, 3] or a tf.data.Dataset. "
            f"Received: {type(elements).__name__}"
        )
    if labels is not None and not isinstance(elements, list | tuple):
        raise errors.UsageError(
            "labels are for an array of images; a data set must yield (image, label). "
            "Received: both a data set and labels"
        )
    found: list[np.ndarray] = []
    classes: list[Any] = []
    count = 0
    for element in _read(elements):
        parts = element if isinstance(element, tuple | list) else (element,)
        block = _block(parts)
        if found and block.shape[1:] != found[0].shape[1:]:
            raise errors.UsageError(
                "all images must have one size. Received: "
                f"{found[0].shape[1:]} and {block.shape[1:]}; resize them first"
            )
        if count < examples:
            found.append(block)
        classes += [np.atleast_1d(np.asarray(part)) for part in parts[1:2]]
        count += len(block)
        if count >= examples and labels is None:
            break
    if not found:
        raise errors.UsageError("images must not be empty. Received: no images")
    if labels is None and classes:
        labels = np.concatenate(classes)
    return count, np.concatenate(found)[:examples], labels


def _read(elements: Iterable[Any]) -> Iterator[Any]:
    """Yields the elements of a data set; what it raises becomes a `UsageError`."""
    try:
        yield from elements
    except Exception as error:  # A user's own functions raise what they like.
        raise errors.UsageError(
            f"can't read the data set of images ({_reason(error)})"
        ) from error


def _reason(error: Exception) -> str:
    """Returns what went wrong; TensorFlow buries what a mapped function raised."""
    found = re.findall(r"^\w*(?:Error|Exception): .+", str(error), re.MULTILINE)
    return found[-1][:200] if found else errors.first_cause(error)


def _block(parts: Sequence[Any]) -> np.ndarray:
    """Returns the images of an element, `[b, height, width, 3]`."""
    if not parts or isinstance(parts[0], Mapping):
        names = ", ".join(repr(name) for name in parts[0]) if parts else "nothing"
        raise errors.UsageError(
            "a data set must yield images or (image, label). Received: dictionaries "
            f"with {names}; map them to tuples first"
        )
    block = np.asarray(parts[0])
    if block.ndim not in (3, 4):
        raise errors.UsageError(
            "a data set must yield RGB images [height, width, 3], or batches of them. "
            f"Received: {block.dtype}, shape {list(block.shape)}"
        )
    return block[None] if block.ndim == 3 else block


def pixels(
    images: Any,  # noqa: ANN401  (a user's)
    name: str = "images",
) -> np.ndarray:
    """Returns an array of images as uint8, if that is what their values are.

    Args:
        images: uint8 `[n, height, width, 3]`, or another dtype where all values are
            whole numbers from 0 to 255.
        name: What they are called in messages.

    Raises:
        UsageError: If they are something else, or there are none.
    """
    if not _is_array(images):
        raise errors.UsageError(
            f"{name} must be a uint8 array [n, height, width, 3]. Received: "
            f"{type(images).__name__}"
        )
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape:
        raise errors.UsageError(
            f"{name} must be RGB, uint8 [n, height, width, 3], n at least 1. Received: "
            f"shape {list(images.shape)}"
        )
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind not in "iuf":
        raise errors.UsageError(
            f"{name} must be pixels from 0 to 255, uint8. Received: {images.dtype}"
        )
    if not np.all(np.isfinite(images)):
        raise errors.UsageError(
            f"{name} must be pixels from 0 to 255. Received: values that are not finite"
        )
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 255 or np.any(images != np.round(images)):
        raise errors.UsageError(
            f"{name} must be pixels from 0 to 255, not yet normalised. Received: "
            f"{images.dtype} from {low:.3g} to {high:.3g}"
        )
    if high <= 1:
        raise errors.UsageError(
            f"{name} must be pixels from 0 to 255. Received: "
            f"{images.dtype} with only {low:.0f} and {high:.0f}; multiply them by 255"
        )
    return images.astype(np.uint8)


def _checked_labels(
    labels: Any,  # noqa: ANN401  (a user's)
    images: int,
) -> np.ndarray:
    """Returns class numbers `[n]`; one-hot rows are turned into them."""
    kind = type(labels).__name__
    try:
        labels = np.asarray(labels)
    except ValueError as error:  # Rows of several lengths.
        raise errors.UsageError(
            f"labels must be class numbers, int [n]. Received: {kind}"
        ) from error
    if labels.dtype.kind not in "biuf" or not labels.ndim:
        raise errors.UsageError(
            "labels must be class numbers, int [n]. Received: "
            f"{kind}, dtype {labels.dtype}"
        )
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
