"""The settings and images that a diagnosis looks at, and what makes it doubtful."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from normtest_tf import errors
from normtest_tf.normalization import CONTROL, TREATMENT, Setting
from normtest_tf.normalization import get as get_setting

EXAMPLES = 512  # Images used by default.
FEW_IMAGES = 64
BATCH_SIZE = 256  # The recipe's: a batch's statistics stand for training's.
MAX_PIXELS = 2**19  # In a batch: 512 images of 32x32, 10 of 224x224.
FAR = 3.0  # Means of normalised images beyond it are suspicious.
WIDE = 5.0  # So are standard deviations above it or below its inverse.
IMAGES = (
    "a uint8 array of at least 2 RGB images that differ, [n, height, width, 3] from 0 "
    "to 255, or a tf.data.Dataset of images or of (image, label)"
)


def settings_of(settings: Sequence[str | Setting]) -> list[Setting]:
    """Returns the settings to look at, by name or as they are, the control first."""
    found: dict[str, Setting] = {}
    for each in (CONTROL, TREATMENT, *settings):
        setting = each if isinstance(each, Setting) else get_setting(each)
        if setting.folds:
            raise errors.UsageError(
                f"{each} changes the network, not only its inputs; leave it out"
            )
        found[setting.name] = setting
    return list(found.values())


def collect(
    images: Any,  # noqa: ANN401  (an array or a data set)
    labels: np.ndarray | None = None,
    examples: int = EXAMPLES,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the first images, uint8, of an array or a data set, and their classes."""
    if not hasattr(images, "__array__"):
        if labels is not None:
            raise errors.UsageError(
                "labels are for an array; a data set must yield (image, label)"
            )
        try:
            images, labels = _first(images, examples)
        except Exception as error:  # A user's own functions raise what they like.
            raise errors.UsageError(
                f"images must be {IMAGES}. Received: {type(images).__name__} "
                f"({errors.first_cause(error)})"
            ) from error
    if labels is not None:
        labels = _class_numbers(np.asarray(labels), len(images))[:examples]
        if len(labels) < 3 or len(np.unique(labels)) < 2:
            labels = None  # A linear probe needs more.
    found = _pixels(images[:examples])
    if np.all(found == found[:1]):
        raise errors.UsageError(
            f"images must be {IMAGES}. Received: {len(found)} that are all the same"
        )
    return found, labels


def _first(
    dataset: Iterable[Any], examples: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the first images of a data set, batched or not, and their labels."""
    blocks: list[tuple[np.ndarray, ...]] = []
    count = 0
    for element in dataset:
        pair = element[:2] if isinstance(element, tuple) else (element,)
        block = tuple(map(np.asarray, pair))
        if block[0].ndim == 3:  # Not batched.
            block = tuple(part[None] for part in block)
        blocks.append(block)
        count += len(block[0])
        if count >= examples:
            break
    images, *labels = map(np.concatenate, zip(*blocks, strict=True))
    return images, labels[0] if labels else None


def _pixels(images: Any) -> np.ndarray:  # noqa: ANN401  (a user's array)
    """Returns images as uint8, if that is what they are."""
    images = np.asarray(images)
    is_rgb = images.ndim == 4 and images.shape[-1] == 3 and images.size
    if is_rgb and images.dtype.kind in "iuf":
        with np.errstate(invalid="ignore"):
            found = images.astype(np.uint8)
        if np.array_equal(found, images):
            return found
        received = f"{images.dtype} from {images.min():.3g} to {images.max():.3g}"
    else:
        received = f"{images.dtype}, shape {list(images.shape)}"
    raise errors.UsageError(
        f"images must be {IMAGES}, not yet normalised. Received: {received}"
    )


def _class_numbers(labels: np.ndarray, images: int) -> np.ndarray:
    """Returns class numbers `[n]`; one-hot rows are turned into them."""
    if labels.ndim == 2:
        labels = labels.argmax(axis=1) if labels.shape[1] > 1 else labels[:, 0]
    if labels.shape != (images,) or labels.dtype.kind not in "iu":
        raise errors.UsageError(
            f"labels must be one class number for each of the {images} images, int "
            f"[n]. Received: {labels.dtype}, shape {list(labels.shape)}"
        )
    return labels.astype(np.int64)


def batches(images: np.ndarray) -> list[np.ndarray]:
    """Returns the images in batches, smaller ones where they are large."""
    size = min(BATCH_SIZE, max(4, MAX_PIXELS // math.prod(images.shape[1:3])))
    return [images[start : start + size] for start in range(0, len(images), size)]


def notes_on(
    layers: Sequence[str],
    images: np.ndarray,
    labels: np.ndarray | None,
    preprocessing: Sequence[str],
) -> list[str]:
    """Returns what limits the diagnosis; `layers` are the batch normalizations."""
    notes = []
    if not layers:
        notes.append(
            "the network has no batch normalization: there are no stored statistics "
            "to compare with or to re-estimate, and only one mode"
        )
    if len(images) < FEW_IMAGES:
        notes.append(
            f"only {len(images)} images: statistics and displacements are rough; pass "
            f"{FEW_IMAGES} or more"
        )
    if labels is None:
        notes.append("no linear probe, which needs labels: 3 images of 2 classes")
    if np.all(images == images[..., :1]):
        notes.append(
            "the images are grey: constants per channel can't give them colours, so no "
            "setting makes them what the network was pre-trained with"
        )
    if preprocessing:
        notes.append(
            f"the model normalises its inputs itself, in {' and '.join(preprocessing)},"
            " after the setting does. Pass the part of the model behind these layers; "
            "or, if it takes pixels from 0 to 255, pretraining statistics of mean 0 "
            f"and std 1/255, which give it these under {CONTROL}"
        )
    return notes


def notes_on_control(mean: Sequence[float], std: Sequence[float]) -> list[str]:
    """Says if images that the control normalises look unlike other images."""
    if max(map(abs, mean)) <= FAR and 1 / WIDE <= min(std) <= max(std) <= WIDE:
        return []
    means, stds = (", ".join(f"{x:.2f}" for x in values) for values in (mean, std))
    return [
        f"under {CONTROL}, channels have means {means} and stds {stds}, far from the 0 "
        "and 1 of most images. Either these are unlike those of pre-training, or its "
        "statistics are wrong (they are for pixels from 0 to 1, mean first)"
    ]
