"""Channel statistics: measured exactly from images, and published constants."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from normtest_tf.text import Notify

PIXEL_MAX = 255.0
BLOCK = 256  # Images whose values are counted at a time.
WIDER = 1.2  # ImageNet's pooled std over the mean of its images' own stds.
FAR = 0.3  # Pixel distances above it are large.


@dataclasses.dataclass(frozen=True)
class ChannelStatistics:
    """Mean and standard deviation of the red, green and blue channels."""

    mean: tuple[float, float, float]  # For pixels scaled to [0, 1].
    std: tuple[float, float, float]  # In the same units, positive.
    # What "std" means here. `pooled`: over all pixels of all images. `per-image`: the
    # mean over images of each image's std, which is smaller. `fixed`: not measured.
    definition: str
    source: str  # Where the numbers come from.


IMAGENET = ChannelStatistics(
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    definition="per-image",
    source="torchvision's constants (pytorch/vision#1439 tells how they were computed)",
)
IMAGENET_POOLED = ChannelStatistics(
    mean=IMAGENET.mean,
    std=(0.2724, 0.2637, 0.2761),
    definition="pooled",
    source="ImageNet's training images, resized to 256 and cropped to 224 "
    "(pytorch/vision#1439); the mean is torchvision's",
)
MINMAX = ChannelStatistics(
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    definition="fixed",
    source="scaling to [0, 1]",
)


class Images(Protocol):
    """uint8 `[n, height, width, 3]`: an array, or images whose slices become arrays."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of images, height, width and 3."""

    @property
    def dtype(self) -> np.dtype:
        """Always uint8."""

    def __getitem__(self, chosen: slice, /) -> npt.ArrayLike:
        """Returns some of the images."""


def channel_statistics(
    images: Images, source: str, notify: Notify = warnings.warn
) -> ChannelStatistics:
    """Computes pooled channel statistics exactly, from histograms of the pixels.

    Sums over millions of pixels lose digits in float32; counts of the 256 possible
    values of a pixel are exact, and their weighted mean is exact to float64.

    Args:
        images: uint8 `[n, height, width, 3]`, n > 0.
        source: What the images are, for the record.
        notify: Called with a message about each constant channel.

    Returns:
        The pooled statistics. A channel that is constant over all images gets std 1:
        dividing by 0 would leave nothing to learn from.

    Example:
    ```python
    images = np.random.default_rng(0).integers(0, 256, [8, 32, 32, 3], np.uint8)
    channel_statistics(images, "random pixels").mean  # about 0.5, three times
    ```
    """
    means, stds = zip(*map(_mean_and_std, _counts(images)), strict=True)
    return _divisible(means, stds, "pooled", source, notify)


def mean_of_stds(images: Images, source: str, notify: Notify) -> ChannelStatistics:
    """Computes mean and the mean of each image's std, as ImageNet's constants are."""
    means = [_mean_and_std(of_channel)[0] for of_channel in _counts(images)]
    total = np.zeros(3)
    for block in _blocks(images):
        total += block.std(axis=(1, 2), dtype=np.float64).sum(axis=0)
    stds = (total / images.shape[0] / PIXEL_MAX).tolist()
    return _divisible(means, stds, "per-image", source, notify)


def gray_statistics(images: Images, source: str, notify: Notify) -> ChannelStatistics:
    """Computes one mean and one std over all pixels of all channels."""
    mean, std = _mean_and_std(_counts(images).sum(axis=0))
    return _divisible([mean] * 3, [std] * 3, "pooled", source, notify)


def change(
    given: ChannelStatistics, wanted: ChannelStatistics
) -> tuple[np.ndarray, np.ndarray]:
    """Returns scale and shift, float64 `[3]` each, in RGB order.

    Inputs normalised with `wanted` are `scale * inputs + shift` of those with `given`.
    """
    given_mean, given_std = np.array(given.mean), np.array(given.std)
    wanted_mean, wanted_std = np.array(wanted.mean), np.array(wanted.std)
    return given_std / wanted_std, (given_mean - wanted_mean) / wanted_std


def pixel_distance(images: ChannelStatistics, pretraining: ChannelStatistics) -> float:
    """Returns how far a data set's pixels are from those of pre-training.

    It is the root mean square over channels of two terms: the difference of means, in
    standard deviations of pre-training's pixels, and the log of the ratio of standard
    deviations. For images with mean m and std s after ImageNet's constants, these are
    m / 1.2 and log(s / 1.2): the published std is a mean of per-image stds, which are
    smaller than the pooled std. Constants that were not measured, such as those of
    scaling to [-1, 1], stand for ImageNet's images.

    Args:
        images: Pooled statistics of the fine-tuning set.
        pretraining: The statistics that the weights were pre-trained with.

    Example:
    ```python
    pixel_distance(channel_statistics(images, "mine"), IMAGENET) > FAR
    ```
    """
    seen = IMAGENET_POOLED if pretraining.definition == "fixed" else pretraining
    wider = WIDER if seen.definition == "per-image" else 1.0
    scale, shift = change(given=images, wanted=seen)
    terms = np.square(shift / wider) + np.square(np.log(scale / wider))
    return float(np.sqrt(np.mean(terms)))


def _counts(images: Images) -> np.ndarray:
    """Returns how often each channel has each value, int64 `[3, 256]`."""
    is_rgb = len(images.shape) == 4 and images.shape[-1] == 3 and 0 not in images.shape
    if images.dtype != np.uint8 or not is_rgb:
        raise ValueError(
            "images must be uint8 [n, height, width, 3], n > 0. "
            f"Received: dtype={images.dtype}, shape={images.shape}"
        )
    counts = np.zeros([3, 256], np.int64)
    for block in _blocks(images):  # `bincount` makes int64 of its input.
        for channel in range(3):
            counts[channel] += np.bincount(block[..., channel].ravel(), minlength=256)
    return counts


def _blocks(images: Images) -> Iterator[np.ndarray]:
    """Yields images some at a time."""
    for start in range(0, images.shape[0], BLOCK):
        yield np.asarray(images[start : start + BLOCK])


def _divisible(
    means: Sequence[float],
    stds: Sequence[float],
    definition: str,
    source: str,
    notify: Notify,
) -> ChannelStatistics:
    """Replaces each std of 0 by 1: dividing by 0 leaves nothing to learn from."""
    channels = zip(("red", "green", "blue"), stds, strict=True)
    if constant := [name for name, std in channels if std == 0]:
        notify(f"constant in {source}: {', '.join(constant)}; the std is taken as 1")
    (red, green, blue), (one, two, three) = means, (std or 1.0 for std in stds)
    return ChannelStatistics((red, green, blue), (one, two, three), definition, source)


def _mean_and_std(counts: np.ndarray) -> tuple[float, float]:
    """Returns the moments of pixels from 0 to 1, of which `counts` have each value."""
    values = np.arange(256) / PIXEL_MAX
    mean = np.average(values, weights=counts)
    if np.count_nonzero(counts) == 1:
        return float(mean), 0.0
    return float(mean), math.sqrt(np.average((values - mean) ** 2, weights=counts))
