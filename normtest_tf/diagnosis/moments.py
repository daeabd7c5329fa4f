"""Statistics of a batch normalization's inputs, and the modes it runs in."""

from __future__ import annotations

import dataclasses

import numpy as np

STORED = "stored"  # Batch normalization in evaluation mode.
BATCH = "batch"  # In training mode.
MODES = (STORED, BATCH)


@dataclasses.dataclass(frozen=True)
class Moments:
    """Mean and variance of each channel of a batch normalization's inputs.

    Attributes:
        mean: float64 `[channels]`.
        variance: float64 `[channels]`, biased.
    """

    mean: np.ndarray
    variance: np.ndarray


class Recorder:
    """Sums over batches of a layer's inputs; Keras does not track it."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = self.square = np.zeros([])

    def add(self, count: int, mean: np.ndarray, variance: np.ndarray) -> None:
        """Adds a batch: its number of values per channel, and their moments `[c]`."""
        mean, variance = mean.astype(np.float64), variance.astype(np.float64)
        self.count += count
        self.sum = self.sum + count * mean
        self.square = self.square + count * (variance + mean**2)

    def moments(self) -> Moments:
        """Returns the moments of all that was added."""
        mean = self.sum / self.count
        return Moments(mean, np.maximum(self.square / self.count - mean**2, 0.0))
