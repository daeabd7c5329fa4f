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
REESTIMATED = "reestimated"  # In evaluation mode, with the images' own statistics.
Batch = tuple[int, np.ndarray, np.ndarray]  # Values per channel, their mean, variance.


@dataclasses.dataclass(frozen=True)
class Moments:
    """Mean and biased variance, float64 `[channels]`, of a batch norm's inputs."""

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


def distance(one: Moments, other: Moments, epsilon: float) -> float:
    """Compares a layer's statistics; the order of the two does not matter."""
    first, second = one.variance + epsilon, other.variance + epsilon
    shift = (one.mean - other.mean) / np.sqrt((first + second) / 2)
    spread = np.log(first / second) / 2
    return float(np.hypot(rms(shift), rms(spread)))


def rms(values: Sequence[float] | np.ndarray) -> float:
    """Returns the root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))
