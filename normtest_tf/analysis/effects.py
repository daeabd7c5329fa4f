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

LEVEL = 0.05  # Of tests; intervals have the rest as their confidence.
QUANTILE = 1 - LEVEL / 2
POWER = 0.8  # Of the tests that pairs are needed for.


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean, usually of paired differences, with its two-sided 95% t interval."""

    n: int
    mean: float  # NaN for no values.
    # With n - 1 in the denominator, or the least that values of the kind can have; NaN
    # for one value.
    sd: float
    low: float  # NaN for one value, and for two that are equal.
    high: float

    @property
    def has_interval(self) -> bool:
        """Whether the values determine an interval."""
        return math.isfinite(self.low)

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


def grid_sd(examples: int, controls: float = 1) -> float:
    """Returns the least sd of differences of accuracies, in percentage points.

    On N test images an accuracy is a multiple of 100 / N points. That is a rounding,
    whose variance is (100 / N)^2 / 12; a difference from the mean of c accuracies has
    1 + 1 / c times that (an accuracy itself: c is infinite). Pairs may show less by
    chance, up to being equal, but their spread is not less.
    """
    return 100 / examples * math.sqrt((1 + 1 / controls) / 12)


def estimate_mean(
    values: Sequence[float] | np.ndarray, least_sd: float = 0.0
) -> Estimate:
    """Estimates a mean from independent values; what they don't determine is NaN."""
    array = np.asarray(values, float)
    n = len(array)
    mean = float(array.mean()) if n else math.nan
    sd = _sd(array, least_sd) if n > 1 else math.nan
    half_width = math.nan
    if not _hide_their_spread(array):
        half_width = float(stats.t.ppf(QUANTILE, n - 1) * sd / math.sqrt(n))
    return Estimate(n, mean, sd, mean - half_width, mean + half_width)


def _sd(values: np.ndarray, least_sd: float) -> float:
    measured = 0.0 if _all_equal(values) else float(values.std(ddof=1))
    return max(measured, least_sd)


def _hide_their_spread(values: np.ndarray) -> bool:
    return len(values) < 2 or (len(values) == 2 and _all_equal(values))


def _all_equal(values: np.ndarray) -> bool:
    """Tells whether values are equal up to rounding."""
    return bool(np.ptp(values) <= 1e-9 * np.abs(values).max())


def estimate_crossed(values: np.ndarray) -> Estimate:
    """Estimates the mean of values `[images, seeds]`, both taken as samples.

    The variance of the mean is s_images / I + s_seeds / S + s_rest / (I S) with the
    components of a two-way layout without replication: the mean square of images plus
    that of seeds less the rest's, over I S, but no less than from images or from seeds
    alone. The degrees of freedom are Satterthwaite's (1946).
    """
    images, seeds = values.shape
    mean = float(values.mean())
    of_images, of_seeds = values.mean(axis=1), values.mean(axis=0)
    rest = values - of_images[:, None] - of_seeds + mean
    squares = (
        seeds * np.square(of_images - mean).sum(),
        images * np.square(of_seeds - mean).sum(),
        np.square(rest).sum(),
    )
    freedoms = (images - 1, seeds - 1, (images - 1) * (seeds - 1))
    by_image, by_seed, left = (
        (square / max(freedom, 1), max(freedom, 1))
        for square, freedom in zip(squares, freedoms, strict=True)
    )
    both = [by_image, by_seed, (-left[0], left[1])]
    terms = max(
        ([by_image], [by_seed], both), key=lambda terms: sum(t[0] for t in terms)
    )
    total = sum(square for square, _ in terms)
    if not total > 0:
        return Estimate(seeds, mean, 0.0, math.nan, math.nan)
    freedom = total**2 / sum(square**2 / freedom for square, freedom in terms)
    error = math.sqrt(total / values.size)
    half_width = float(stats.t.ppf(QUANTILE, freedom) * error)
    sd = error * math.sqrt(seeds)
    return Estimate(seeds, mean, sd, mean - half_width, mean + half_width)


def mcnemar_p_value(one: np.ndarray, other: np.ndarray) -> float:
    """Tests whether two classifiers are right equally often (McNemar, exact)."""
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    if only_one + only_other == 0:
        return 1.0
    return float(stats.binomtest(only_one, only_one + only_other).pvalue)


def equivalence_interval(effect: Estimate) -> tuple[float, float]:
    """Returns the 90% interval: two one-sided tests at 5% compare it with a margin."""
    error = effect.sd / math.sqrt(effect.n)
    half_width = float(stats.t.ppf(1 - LEVEL, effect.n - 1)) * error
    return effect.mean - half_width, effect.mean + half_width


def paired_t_p_value(differences: Sequence[float], least_sd: float) -> float:
    """Returns Student's two-sided p-value; NaN where pairs don't tell their spread."""
    values = np.asarray(differences, float)
    return 2 * min(_t_tail(values, least_sd, 0, sign) for sign in (1, -1))


def equivalence_p_value(
    differences: Sequence[float], margin: float, least_sd: float
) -> float:
    """Tests whether the mean difference is smaller than a positive margin in size.

    Two one-sided t tests (Schuirmann, 1987): a p-value below the level says that the
    mean lies within `margin` of 0. It is NaN where `paired_t_p_value` is.
    """
    if not margin > 0:
        raise ValueError(f"margin must be positive. Received: {margin}")
    values = np.asarray(differences, float)
    sides = ((-margin, -1), (margin, 1))
    return max(_t_tail(values, least_sd, mean, sign) for mean, sign in sides)


def _t_tail(values: np.ndarray, least_sd: float, mean: float, sign: int) -> float:
    """Returns P(T < t) against a mean for sign 1, P(T > t) for sign -1."""
    if _hide_their_spread(values):
        return math.nan
    error = _sd(values, least_sd) / math.sqrt(len(values))
    t = (values.mean() - mean) / error
    return float(special.stdtr(len(values) - 1, sign * t))  # `stats.t.cdf`, but fast.


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Adjusts a family's p-values (Holm, 1979); NaN, for no test, does not count."""
    result: np.ndarray = np.array(p_values, float)
    made = np.flatnonzero(~np.isnan(result))
    order = made[np.argsort(result[made])]
    factors = np.arange(len(order), 0, -1)
    adjusted = np.maximum.accumulate(factors * result[order])
    result[order] = np.minimum(adjusted, 1)
    return result


def pairs_needed(sd: float, difference: float, level: float = LEVEL) -> int:
    """Returns how many pairs of a spread let a t test detect a difference above 0."""
    if sd == 0:
        return 2

    def power_of(pairs: int) -> float:
        freedom, shift = pairs - 1, difference / sd * math.sqrt(pairs)
        critical = stats.t.ppf(1 - level / 2, freedom)
        # The lower tail by symmetry: nct.cdf is NaN far out.
        tails = stats.nct.sf(critical, freedom, [shift, -shift])
        return float(tails.sum())

    enough = 2
    while power_of(enough) < POWER:
        enough *= 2
    return bisect.bisect_left(range(enough), POWER, max(2, enough // 2), key=power_of)
