"""How far the data are from the statistics that a network has stored.

For one channel with mean m1, m2 and variance v1, v2 (each plus the layer's epsilon):

    shift   (m1 - m2) / sqrt((v1 + v2) / 2)
    spread  log(v1 / v2) / 2, the logarithm of the ratio of standard deviations

Both only change their sign when the two are exchanged. A layer's distance is the root
of the mean over channels of shift^2 + spread^2. 0 means that evaluation normalises as
training does; 1 that channels are off by a standard deviation, or by a factor of e.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

STORED = "stored"  # Batch normalization in evaluation mode.
BATCH = "batch"  # In training mode.
MODES = (STORED, BATCH)
Batch = tuple[int, np.ndarray, np.ndarray]  # Values per channel, their mean, variance.


@dataclasses.dataclass(frozen=True)
class Moments:
    """Mean and variance of each channel of a batch normalization's inputs.

    Attributes:
        mean: float64 `[channels]`.
        variance: float64 `[channels]`, biased.
    """

    mean: np.ndarray
    variance: np.ndarray


def pooled(batches: Sequence[Batch]) -> Moments:
    """Returns the moments of all values of several batches."""
    counts, means, variances = (
        np.array(part, np.float64) for part in zip(*batches, strict=True)
    )
    mean = np.average(means, axis=0, weights=counts)
    square = np.average(variances + means**2, axis=0, weights=counts)
    return Moments(mean, np.maximum(square - mean**2, 0.0))


@dataclasses.dataclass(frozen=True)
class Distance:
    """A layer's distance between two sets of statistics.

    Attributes:
        shift: Root mean square over channels, in standard deviations.
        spread: Root mean square over channels of the log of the ratio of stds.
    """

    shift: float
    spread: float

    @property
    def total(self) -> float:
        """Both together: the root of the sum of squares."""
        return float(np.hypot(self.shift, self.spread))


def distance(one: Moments, other: Moments, epsilon: float) -> Distance:
    """Compares a layer's statistics; the order of the two does not matter.

    Args:
        one: Of some data, or stored.
        other: Likewise, of the same number of channels.
        epsilon: What the layer adds to variances, above 0.

    Returns:
        The distance, over channels.
    """
    first, second = one.variance + epsilon, other.variance + epsilon
    shift = (one.mean - other.mean) / np.sqrt((first + second) / 2)
    spread = np.log(first / second) / 2
    return Distance(_rms(shift), _rms(spread))


def distances(
    ones: Sequence[Moments], others: Sequence[Moments], epsilons: Sequence[float]
) -> tuple[Distance, ...]:
    """Compares the statistics of every layer."""
    return tuple(map(distance, ones, others, epsilons))


def overall(layers: Sequence[Distance]) -> float:
    """Returns the root mean square over layers of their distances."""
    return _rms(np.array([layer.total for layer in layers]))


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
