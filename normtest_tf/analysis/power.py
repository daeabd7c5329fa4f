"""How many pairs of runs detect a difference."""

from __future__ import annotations

import bisect
import math

from scipy import stats


def pairs_needed(
    sd: float, difference: float, power: float = 0.8, level: float = 0.05
) -> int:
    """Returns how many pairs a two-sided paired t test needs to detect a difference.

    Args:
        sd: The standard deviation of the paired differences.
        difference: The true mean difference to detect, in the same units.
        power: The probability of detecting it.
        level: The significance level of the test.

    Returns:
        The smallest number of pairs, at least 2.

    Raises:
        ValueError: If `difference` is 0, which no number of pairs can detect, or if
            `sd` is negative or NaN.
    """
    if difference == 0 or not sd >= 0:
        raise ValueError(
            "difference must not be 0, and sd must be at least 0. "
            f"Received: difference={difference}, sd={sd}"
        )
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
