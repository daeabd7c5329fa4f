"""Channel statistics: measured exactly from images, and published constants."""

from __future__ import annotations

import dataclasses
import math
import operator
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from normtest_tf.text import Notify

if TYPE_CHECKING:
    import tensorflow as tf

PIXEL_MAX = 255.0
# Images, and bytes of them, whose values are counted at a time.
BLOCK, BLOCK_BYTES = 256, 2**25
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


# uint8 `[n, height, width, 3]`: an array, or images whose slices become arrays.
Images: TypeAlias = npt.ArrayLike


class PixelCounts(NamedTuple):
    """How often each channel has each value, from which moments are exact to float64.

    Sums over millions of pixels lose digits in float32.
    """

    of_values: np.ndarray  # int64 `[3, 256]`.
    stds: np.ndarray  # float64 `[3]`, the sum of the images' own; 0 if not asked for.
    images: int

    @classmethod
    def of(cls, block: np.ndarray, *, stds: bool) -> PixelCounts:
        """Counts the pixels of some images, uint8 `[n, height, width, 3]`."""
        channels = block.reshape(-1, 3).T  # `bincount` makes int64 of its input.
        counts = np.stack([np.bincount(one, minlength=256) for one in channels])
        own = block.std(axis=(1, 2), dtype=np.float64).sum(axis=0) if stds else 0.0
        return cls(counts, np.zeros(3) + own, len(block))

    @classmethod
    def of_one(cls, image: np.ndarray) -> PixelCounts:
        """Counts one image, which may be a photograph, without a copy in float64."""
        counts, _, images = cls.of(image[np.newaxis], stds=False)
        stds = [PIXEL_MAX * _mean_and_std(of_channel)[1] for of_channel in counts]
        return cls(counts, np.array(stds), images)

    def plus(self, other: PixelCounts) -> PixelCounts:
        """Returns the counts of both."""
        return PixelCounts(*map(operator.add, self, other))


def channel_statistics(
    images: Images | tf.data.Dataset | PixelCounts,
    source: str,
    notify: Notify = warnings.warn,
) -> ChannelStatistics:
    """Computes pooled channel statistics exactly, from histograms of the pixels.

    Args:
        images: uint8 `[n, height, width, 3]`, n > 0; or a finite `tf.data.Dataset` of
            images or of (image, label), batched or not, of any sizes, with whole
            numbers from 0 to 255; or counts of pixels.
        source: What the images are, for the record.
        notify: Called with a message about each constant channel.

    Returns:
        The pooled statistics. A channel that is constant over all images gets std 1:
        dividing by 0 would leave nothing to learn from.

    Raises:
        ValueError: If the images are anything else.

    Example:
    ```python
    images = np.random.default_rng(0).integers(0, 256, [8, 32, 32, 3], np.uint8)
    channel_statistics(images, "random pixels").mean  # about 0.5, three times
    ```
    """
    means, stds = zip(*map(_mean_and_std, _counted(images).of_values), strict=True)
    return _divisible(means, stds, "pooled", source, notify)


def mean_of_stds(
    images: Images | PixelCounts, source: str, notify: Notify
) -> ChannelStatistics:
    """Computes mean and the mean of each image's std, as ImageNet's constants are."""
    counts = _counted(images, stds=True)
    means = [_mean_and_std(of_channel)[0] for of_channel in counts.of_values]
    stds = (counts.stds / counts.images / PIXEL_MAX).tolist()
    return _divisible(means, stds, "per-image", source, notify)


def gray_statistics(images: Images, source: str, notify: Notify) -> ChannelStatistics:
    """Computes one mean and one std over all pixels of all channels."""
    mean, std = _mean_and_std(_counted(images).of_values.sum(axis=0))
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


def _counted(images: Any, *, stds: bool = False) -> PixelCounts:  # noqa: ANN401  (as above)
    """Counts the pixels of all images, some images at a time."""
    if isinstance(images, PixelCounts):
        return images
    total = None
    for block in _blocks(images):
        if block.dtype != np.uint8 or block.ndim != 4 or block.shape[-1] != 3:
            raise _not_images(f"dtype={block.dtype}, shape={block.shape}")
        counts = PixelCounts.of(block, stds=stds)
        total = total.plus(counts) if total else counts
    if not total or not total.of_values.any():
        raise _not_images("no pixels")
    return total


def _blocks(images: Any) -> Iterator[np.ndarray]:  # noqa: ANN401  (as above)
    """Yields images some at a time, those of a data set in its batches."""
    if not hasattr(images, "element_spec"):
        largest = BLOCK_BYTES // max(1, math.prod(images.shape[1:]))
        size = max(1, min(BLOCK, largest))
        for start in range(0, images.shape[0], size):
            yield np.asarray(images[start : start + size])
        return
    if images.cardinality() == -1:
        raise _not_images("a data set that never ends")
    for element in images:
        element = element["image"] if isinstance(element, dict) else element
        block = np.asarray(element[0] if isinstance(element, tuple) else element)
        with np.errstate(invalid="ignore"):
            whole = block.astype(np.uint8)  # Keras reads pixels as float32.
        block = whole if np.array_equal(whole, block) else block
        yield block[np.newaxis] if block.ndim == 3 else block


def _not_images(received: str) -> ValueError:
    return ValueError(
        "images must be uint8 [n, height, width, 3], n > 0, or a tf.data.Dataset of "
        f"such pixels, not yet normalised. Received: {received}"
    )


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
