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
