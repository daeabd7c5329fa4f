"""Means with intervals, tests of paired differences, and their power.

Pure functions of arrays. Results are in the units of the values given, such as
percentage points.
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
    """A mean, usually of paired differences, with its t interval.

    Attributes:
        n: The number of values.
        mean: Their mean.
        sd: Their standard deviation, with n - 1 in the denominator; NaN for one value.
        low: The lower end of the confidence interval; -inf for one value.
        high: The upper end; inf for one value.
        confidence: The confidence level of the interval, such as 0.95.
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

    @property
    def half_width(self) -> float:
        """Half the width of the interval; inf for one value."""
        return (self.high - self.low) / 2


def estimate_mean(
    values: Sequence[float] | np.ndarray, confidence: float = 0.95
) -> Estimate:
    """Estimates a mean from independent values, such as paired differences.

    Runs with the same seed form a pair: they share the head's initial weights, the
    order of examples and the augmentation, so most of the variation from seed to
    seed cancels in their difference.

    Args:
        values: float `[n]`, at least one.
        confidence: The confidence level of the interval.

    Returns:
        The mean, the spread and the two-sided interval of Student's t.

    Raises:
        ValueError: If there are no values.

    Example:
    ```python
    estimate = estimate_mean([0.2, 0.5, 0.1])
    print(f"{estimate.mean:+.2f} ± {estimate.half_width:.2f}")
    ```
    """
    array = as_array(values)
    n, mean = len(array), float(array.mean())
    if n == 1:
        return Estimate(1, mean, math.nan, -math.inf, math.inf, confidence)
    sd = 0.0 if all_equal(array) else float(array.std(ddof=1))
    half_width = float(stats.t.ppf((1 + confidence) / 2, n - 1) * sd / math.sqrt(n))
    return Estimate(n, mean, sd, mean - half_width, mean + half_width, confidence)


def as_array(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Returns at least one value as float64; raises `ValueError` if there is none."""
    array = np.asarray(values, float)
    if not len(array):
        raise ValueError("values must hold at least one pair. Received: none")
    return array


def all_equal(values: np.ndarray) -> bool:
    """Tells whether values are equal up to rounding."""
    return bool(np.ptp(values) <= 1e-9 * np.abs(values).max())


def binomial_standard_error(accuracy: float, examples: int) -> float:
    """Returns the standard error that a finite test set gives an accuracy, 0 to 1."""
    return math.sqrt(accuracy * (1 - accuracy) / examples)


def mean_over_cells(
    cells: Sequence[Sequence[float]], confidence: float = 0.95
) -> Estimate:
    """Averages the effect over cells, with the t interval of the cells' means.

    A cell counts as one observation, whatever the spread of its pairs, so the interval
    generalises to new data sets and models. Its coverage is right from two cells on if
    the cells' means are about normal. `n` and `sd` are those of the cells' means.
    """
    return estimate_mean([as_array(cell).mean() for cell in cells], confidence)


def paired_t_p_value(differences: Sequence[float]) -> float:
    """Returns the two-sided p-value of Student's t test; NaN for a single pair.

    Differences that are all equal leave no doubt: 1 if they are 0, otherwise 0.
    """
    values = as_array(differences)
    if len(values) == 1:
        return math.nan
    if all_equal(values):
        return float(values[0] == 0)
    return 2 * _t_tail(-abs(_t(values, 0)), len(values))


def equivalence_p_value(differences: Sequence[float], margin: float) -> float:
    """Tests whether the mean difference is smaller than a positive margin in size.

    Two one-sided t tests (Schuirmann, 1987): a p-value below the level says that the
    mean lies within `margin` of 0. It is NaN for a single pair. Differences that are
    all equal leave no doubt: 0 if they are smaller than the margin, otherwise 1.
    """
    if not margin > 0:
        raise ValueError(f"margin must be positive. Received: {margin}")
    values = as_array(differences)
    if len(values) == 1:
        return math.nan
    if all_equal(values):
        return float(abs(values[0]) >= margin)
    return max(
        _t_tail(-_t(values, -margin), len(values)),
        _t_tail(_t(values, margin), len(values)),
    )


def _t(values: np.ndarray, mean: float) -> float:
    """Returns Student's t of values against a true mean."""
    return (values.mean() - mean) / (values.std(ddof=1) / math.sqrt(len(values)))


def _t_tail(t: float, n: int) -> float:
    """Returns how often `n` values have a lower t: `stats.t.cdf`, but fast."""
    return float(special.stdtr(n - 1, t))


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

    Args:
        sd: The standard deviation of the paired differences.
        difference: The true mean difference to detect, not 0, in the same units.
        power: The probability of detecting it.
        level: The significance level of the test.
    """
    if difference == 0:  # No number of pairs detects it.
        raise ValueError("difference must not be 0")
    if sd == 0:
        return 2

    def power_of(pairs: int) -> float:
        return _power(pairs, abs(difference) / sd, level)

    enough = 2
    while power_of(enough) < power:
        enough *= 2
    return bisect.bisect_left(range(enough), power, max(2, enough // 2), key=power_of)


def _power(pairs: int, standardised: float, level: float) -> float:
    """Returns the power of a two-sided paired t test, from the noncentral t."""
    freedom = pairs - 1
    critical = stats.t.ppf(1 - level / 2, freedom)
    shift = standardised * math.sqrt(pairs)
    upper = stats.nct.sf(critical, freedom, shift)
    # The lower tail by symmetry: nct.cdf is NaN far out.
    lower = stats.nct.sf(critical, freedom, -shift)
    return float(upper + lower)
