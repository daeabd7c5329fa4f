"""What a diagnosis is made from, and what makes it impossible or doubtful."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from normtest_tf import errors
from normtest_tf.normalization import CONTROL, SETTINGS, ChannelStatistics
from normtest_tf.normalization import get as get_setting

# These change the network rather than its inputs, which is all that is looked at here.
CHANGES_NETWORK = ("finetune_folded",)
SAME_AS_CONTROL = ("pretrain_again",)  # Looked at only if it is asked for.
DEFAULT_SETTINGS = tuple(
    name for name in SETTINGS if name not in (*CHANGES_NETWORK, *SAME_AS_CONTROL)
)
EXAMPLES = 512  # Images used by default.
FEW_IMAGES = 64
MAX_PIXELS = 2**19  # In a batch: 512 images of 32x32, 10 of 224x224.
FAR = 3.0  # Means of normalised images beyond it are suspicious.
WIDE = 5.0  # So are standard deviations above it or below its inverse.
IMAGES = (
    "a uint8 array of at least 2 RGB images that differ, [n, height, width, 3] from 0 "
    "to 255, or a tf.data.Dataset of images or of (image, label)"
)


def names_of(settings: str | Sequence[str] | None) -> list[str]:
    """Returns the settings to look at, the control first; None for the default ones."""
    if settings is None:
        settings = DEFAULT_SETTINGS
    names = [settings] if isinstance(settings, str) else list(settings)
    for name in names:
        get_setting(name)
        if name in CHANGES_NETWORK:
            raise errors.UsageError(
                f"{name} changes the network, not only its inputs; leave it out. Its "
                "function is the control's, except at the border"
            )
    return list(dict.fromkeys([CONTROL, *names]))


def check_statistics(statistics: ChannelStatistics) -> None:
    """Raises `UsageError` unless these can be statistics of pixels from 0 to 1."""
    mean, std = np.array(statistics.mean), np.array(statistics.std)
    are_three = mean.shape == std.shape == (3,) and np.all(np.isfinite([mean, std]))
    if not (are_three and np.all(std > 0) and np.all(mean <= 1.5)):
        raise errors.UsageError(
            "statistics must be three means and three stds above 0 of pixels scaled to "
            "[0, 1]; divide those of pixels up to 255 by 255. Received: mean "
            f"{statistics.mean}, std {statistics.std}"
        )


def collect(
    images: Any,  # noqa: ANN401  (an array or a data set)
    labels: np.ndarray | None = None,
    examples: int = EXAMPLES,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the first images of an array or a data set, and their labels.

    Returns:
        uint8 `[n, height, width, 3]` and int64 `[n]`, or None without labels.

    Raises:
        UsageError: If the images or the labels are something else.
    """
    if not hasattr(images, "__array__"):
        if labels is not None:
            raise errors.UsageError(
                "labels are for an array of images; a data set must yield (image, "
                "label). Received: both a data set and labels"
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
    found = pixels(images[:examples])
    if np.all(found == found[:1]):
        raise errors.UsageError(
            f"images must be {IMAGES}. Received: {len(found)} that are all the same"
        )
    return found, labels


def _first(
    dataset: Iterable[Any], examples: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the first images of a data set, batched or not, and their labels."""
    blocks: list[np.ndarray] = []
    classes: list[np.ndarray] = []
    for element in dataset:
        image, *label = element if isinstance(element, tuple) else (element,)
        block = np.asarray(image)
        unbatched = block.ndim == 3
        blocks.append(block[None] if unbatched else block)
        for part in label[:1]:
            classes.append(np.asarray(part)[None] if unbatched else np.asarray(part))
        if sum(map(len, blocks)) >= examples:
            break
    return np.concatenate(blocks), np.concatenate(classes) if classes else None


def pixels(
    images: Any,  # noqa: ANN401  (a user's array)
    name: str = "images",
) -> np.ndarray:
    """Returns images as uint8; raises `UsageError` unless that is what they are."""
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
        f"{name} must be {IMAGES}, not yet normalised. Received: {received}"
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


def batch_size_for(image_shape: tuple[int, ...], batch_size: int) -> int:
    """Returns the images of a batch, fewer where they are large: memory is bounded."""
    fitting = MAX_PIXELS // math.prod(image_shape[:2])
    return max(min(batch_size, 4), min(batch_size, fitting))


def notes_on(
    layers: Sequence[str], images: np.ndarray, labels: np.ndarray | None
) -> list[str]:
    """Returns what limits the diagnosis."""
    notes = []
    if not layers:
        notes.append(
            "the network has no batch normalization: there are no stored statistics "
            "to compare with or to re-estimate, and only one mode; channel statistics, "
            "the split and the features' displacement are reported"
        )
    if len(images) < FEW_IMAGES:
        notes.append(
            f"only {len(images)} images: statistics and displacements are rough; pass "
            f"{FEW_IMAGES} or more"
        )
    if labels is None:
        notes.append(
            "no labels, so no linear probe: frozen backbones are judged less well"
        )
    colors = ("red", "green", "blue")
    constant = list(itertools.compress(colors, np.ptp(images, axis=(0, 1, 2)) == 0))
    if constant:
        notes.append(f"constant over all images: {', '.join(constant)}")
    elif np.all(images == images[..., :1]):
        notes.append(
            "the images are grey: constants per channel can't give them colours, so no "
            "setting makes them what the network was pre-trained with"
        )
    return notes


def notes_on_preprocessing(names: Sequence[str]) -> list[str]:
    """Says that a model normalises its inputs itself, in the layers of these names."""
    if not names:
        return []
    return [
        f"the model normalises its inputs itself, in {' and '.join(names)}, after the "
        "setting does: what is found holds for images that are normalised twice. Pass "
        "the part of the model behind these layers; or, if it takes pixels from 0 to "
        "255, pretraining statistics of mean 0 and std 1/255 give it exactly these "
        f"under {CONTROL}"
    ]


def notes_on_control(mean: np.ndarray, std: np.ndarray) -> list[str]:
    """Says if images that the control normalises look like other images."""
    is_far = np.any(np.abs(mean) > FAR)
    if not is_far and not np.any((std > WIDE) | (std < 1 / WIDE)):
        return []
    means, stds = (
        ", ".join(f"{value:.2f}" for value in values) for values in (mean, std)
    )
    return [
        f"under {CONTROL}, channels have means {means} and stds {stds}, where 0 and 1 "
        "were expected: the statistics of pre-training contradict the images; check "
        "them (for pixels from 0 to 1, mean first) and the images' range"
    ]
