"""What makes a diagnosis impossible, and what the user should know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from normtest_tf import errors
from normtest_tf.normalization import ChannelStatistics

if TYPE_CHECKING:
    import keras

FEW_IMAGES = 64
FAR = 3.0  # Means of normalised images beyond it are suspicious.
WIDE = 5.0  # So are standard deviations above it or below its inverse.
NO_BATCH_NORM = (
    "the network has no batch normalization: there are no stored statistics to compare "
    "with or to re-estimate, and only one mode; channel statistics, the split and the "
    "features' displacement are reported"
)


def check_statistics(statistics: ChannelStatistics) -> None:
    """Checks the statistics of pre-training.

    Raises:
        UsageError: If they are not finite, a std is not above 0, or they are of pixels
            from 0 to 255.
    """
    mean, std = np.array(statistics.mean), np.array(statistics.std)
    shown = f"mean {statistics.mean}, std {statistics.std}"
    if mean.shape != (3,) or std.shape != (3,):
        raise errors.UsageError(
            f"statistics must be of three channels. Received: {shown}"
        )
    if not (np.all(np.isfinite([mean, std])) and np.all(std > 0)):
        raise errors.UsageError(
            f"statistics must be finite, and each std above 0. Received: {shown}"
        )
    if np.any(mean > 1.5):
        raise errors.UsageError(
            "statistics must be of pixels scaled to [0, 1]. Received: "
            f"{shown}, which look like those of pixels from 0 to 255; divide by 255"
        )


def check_images(images: np.ndarray) -> None:
    """Checks that there are at least two images that differ.

    Raises:
        UsageError: If there are not.
    """
    if len(images) < 2:
        raise errors.UsageError(
            "a diagnosis compares features over images, so it needs at least 2, better "
            f"{FEW_IMAGES} or more. Received: {len(images)}"
        )
    if all(np.array_equal(images[0], other) for other in images[1:]):
        raise errors.UsageError(
            f"a diagnosis needs images that differ. Received: {len(images)} equal ones"
        )


def check_size(model: keras.Model, images: np.ndarray) -> None:
    """Checks that the model takes images of this size.

    Raises:
        UsageError: If it takes another.
    """
    if not getattr(model, "inputs", None):
        return  # Refused where the model is looked into.
    wanted = tuple(model.inputs[0].shape[1:3])
    sides = images.shape[1:3]
    if any(side not in (None, own) for side, own in zip(wanted, sides, strict=False)):
        raise errors.UsageError(
            f"the model takes images of {'x'.join(map(str, wanted))}. Received: "
            f"{'x'.join(map(str, sides))}; resize them, or build the model for them"
        )


def notes_on(
    layers: Sequence[str], images: np.ndarray, labels: np.ndarray | None
) -> list[str]:
    """Returns what limits the diagnosis."""
    notes = []
    if not layers:
        notes.append(NO_BATCH_NORM)
    if len(images) < FEW_IMAGES:
        notes.append(
            f"only {len(images)} images: statistics and displacements are rough; pass "
            f"{FEW_IMAGES} or more"
        )
    if labels is None:
        notes.append(
            "no labels, so no linear probe: frozen backbones are judged less well"
        )
    constant = [
        name
        for channel, name in enumerate(("red", "green", "blue"))
        if np.ptp(images[..., channel]) == 0
    ]
    if constant:
        notes.append(f"constant over all images: {', '.join(constant)}")
    elif np.array_equal(images[..., 0], images[..., 1]) and np.array_equal(
        images[..., 1], images[..., 2]
    ):
        notes.append(
            "the images are grey: constants per channel can't give them colours, so no "
            "setting makes them what the network was pre-trained with"
        )
    return notes


def notes_on_parts(
    has_border: bool, treatment: str, parts: Mapping[str, object]
) -> list[str]:
    """Returns what the split of a difference lacks."""
    if not parts:
        return [f"{treatment} has no constants, so its difference can't be split"]
    if not has_border:
        return [
            "the network does not start with one plain convolution, so the border's "
            "part can't be told from the shift's"
        ]
    return []


def note_on_inputs(
    name: str, mean: np.ndarray, std: np.ndarray, control: str
) -> list[str]:
    """Says if normalised images look as if the constants were those of other images.

    Args:
        name: The setting.
        mean: Of each channel of the normalised images.
        std: Likewise.
        control: The setting whose constants the user states.
    """
    is_far = np.any(np.abs(mean) > FAR)
    is_wide = np.any((std > WIDE) | (std < 1 / WIDE))
    if name != control or not (is_far or is_wide):
        return []
    return [
        f"under {name}, channels have means {_listed(mean)} and stds {_listed(std)}, "
        "where 0 and 1 were expected: the statistics of pre-training contradict the "
        "images; check them (for pixels from 0 to 1, mean first) and the images' range"
    ]


def _listed(values: np.ndarray) -> str:
    return ", ".join(f"{value:.2f}" for value in values)
