"""Paired differences between settings and how sure they are.

Pure functions on arrays; nothing here knows of Keras or of folders. Accuracies
and differences are in the units they come in.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats


@dataclasses.dataclass(frozen=True)
class PairedEffect:
    """The mean of paired differences with its t interval.

    Attributes:
        n: Number of pairs.
        mean: Mean difference.
        sd: Standard deviation of the differences, n - 1 in the denominator; NaN
            for a single pair.
        low: Lower end of the confidence interval; -inf for a single pair.
        high: Upper end; inf for a single pair.
        confidence: Of the interval, such as 0.95.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float
    confidence: float

    @property
    def is_decided(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


def paired_effect(
    treatment: Sequence[float], control: Sequence[float], confidence: float = 0.95
) -> PairedEffect:
    """Estimates the mean of `treatment - control` over pairs.

    Runs with the same seed form a pair: they share the head's initial weights, the
    order of examples and the augmentations, so most of what varies from seed to
    seed cancels out in the difference.

    Args:
        treatment: One value a pair.
        control: The values they are compared with, in the same order.
        confidence: Of the interval.

    Returns:
        Mean, spread and the two-sided interval of Student's t.

    Raises:
        ValueError: If the lengths differ or there are no pairs.
    """
    if len(treatment) != len(control) or not len(treatment):
        raise ValueError(
            "treatment and control must hold the same pairs, at least one. "
            f"Received: {len(treatment)} and {len(control)} values"
        )
    differences = np.asarray(treatment, float) - np.asarray(control, float)
    mean = float(differences.mean())
    if len(differences) == 1:
        return PairedEffect(1, mean, math.nan, -math.inf, math.inf, confidence)
    sd = float(differences.std(ddof=1))
    half_width = stats.t.ppf((1 + confidence) / 2, len(differences) - 1) * sd
    half_width = float(half_width / math.sqrt(len(differences)))
    return PairedEffect(
        len(differences), mean, sd, mean - half_width, mean + half_width, confidence
    )


def binomial_standard_error(accuracy: float, examples: int) -> float:
    """Returns the standard error of an accuracy measured on so many examples.

    It is the uncertainty of a single run that comes from the test set alone.

    Args:
        accuracy: From 0 to 1.
        examples: Number of test examples.
    """
    return math.sqrt(accuracy * (1 - accuracy) / examples)
