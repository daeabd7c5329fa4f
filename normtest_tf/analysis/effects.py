"""Means with intervals, tests of paired differences, and their power.

Pure functions of at least one number. Results are in the units of these, such as
percentage points. Runs with the same seed form a pair: they share the head's initial
weights, the order of examples and the augmentation, so most of the variation from seed
to seed cancels in their difference.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import special, stats


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean, usually of paired differences, with its two-sided t interval."""

    n: int
    mean: float  # NaN for no values.
    sd: float  # With n - 1 in the denominator; like the interval, NaN for one value.
    low: float
    high: float
    confidence: float  # The interval's, such as 0.95.

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


def estimate_mean(
    values: Sequence[float] | np.ndarray, confidence: float = 0.95
) -> Estimate:
    """Estimates a mean from independent values; what they don't determine is NaN."""
    array = np.asarray(values, float)
    n = len(array)
    mean = float(array.mean()) if n else math.nan
    if n < 2:
        return Estimate(n, mean, math.nan, math.nan, math.nan, confidence)
    sd = 0.0 if _all_equal(array) else float(array.std(ddof=1))
    half_width = float(stats.t.ppf((1 + confidence) / 2, n - 1) * sd / math.sqrt(n))
    return Estimate(n, mean, sd, mean - half_width, mean + half_width, confidence)


def _all_equal(values: np.ndarray) -> bool:
    """Tells whether values are equal up to rounding."""
    return bool(np.ptp(values) <= 1e-9 * np.abs(values).max())


def binomial_standard_error(accuracy: float, examples: int) -> float:
    """Returns the standard error that a finite test set gives an accuracy, 0 to 1."""
    return math.sqrt(accuracy * (1 - accuracy) / examples)


def paired_t_p_value(differences: Sequence[float]) -> float:
    """Returns the two-sided p-value of Student's t test; NaN for a single pair.

    Differences that are all equal leave no doubt: 1 if they are 0, otherwise 0.
    """
    values = np.asarray(differences, float)
    if len(values) == 1:
        return math.nan
    if _all_equal(values):
        return float(values[0] == 0)
    return 2 * min(_t_tail(values, 0, 1), _t_tail(values, 0, -1))


def equivalence_p_value(differences: Sequence[float], margin: float) -> float:
    """Tests whether the mean difference is smaller than a positive margin in size.

    Two one-sided t tests (Schuirmann, 1987): a p-value below the level says that the
    mean lies within `margin` of 0. It is NaN for a single pair. Differences that are
    all equal leave no doubt: 0 if they are smaller than the margin, otherwise 1.
    """
    if not margin > 0:
        raise ValueError(f"margin must be positive. Received: {margin}")
    values = np.asarray(differences, float)
    if len(values) == 1:
        return math.nan
    if _all_equal(values):
        return float(abs(values[0]) >= margin)
    return max(_t_tail(values, -margin, -1), _t_tail(values, margin, 1))


def _t_tail(values: np.ndarray, mean: float, sign: int) -> float:
    """Returns how often values of a true mean have a lower t, or a higher for -1."""
    t = (values.mean() - mean) / (values.std(ddof=1) / math.sqrt(len(values)))
    return float(special.stdtr(len(values) - 1, sign * t))  # `stats.t.cdf`, but fast.


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Adjusts p-values so that the family of their tests keeps its level (Holm, 1979).

    NaN marks a test that could not be made: it stays NaN and does not count.
    """
    result: np.ndarray = np.array(p_values, float)
    made = np.flatnonzero(~np.isnan(result))
    order = made[np.argsort(result[made])]
    factors = np.arange(len(order), 0, -1)
    adjusted = np.maximum.accumulate(factors * result[order])
    result[order] = np.minimum(adjusted, 1)
    return result


def pairs_needed(
    sd: float, difference: float, power: float = 0.8, level: float = 0.05
) -> int:
    """Returns how many pairs a two-sided paired t test needs to detect a difference.

    `sd` is the spread of paired differences, and `difference` their true mean, above 0.
    """
    if sd == 0:
        return 2

    def power_of(pairs: int) -> float:
        freedom, shift = pairs - 1, difference / sd * math.sqrt(pairs)
        critical = stats.t.ppf(1 - level / 2, freedom)
        # The lower tail by symmetry: nct.cdf is NaN far out.
        tails = stats.nct.sf(critical, freedom, [shift, -shift])
        return float(tails.sum())

    enough = 2
    while power_of(enough) < power:
        enough *= 2
    return bisect.bisect_left(range(enough), power, max(2, enough // 2), key=power_of)
