"""Tests of paired differences: against 0, against a margin, and in families.

Pure functions of arrays, like `effects`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from normtest_tf.analysis.effects import all_equal, as_array


def paired_t_p_value(differences: Sequence[float]) -> float:
    """Tests whether the mean of paired differences is 0 (Student's t test).

    Args:
        differences: float `[n]`, one per pair.

    Returns:
        The two-sided p-value; NaN for a single pair. Differences that are all equal
        leave no doubt: 1 if they are 0, otherwise 0.

    Raises:
        ValueError: If there are no pairs.
    """
    values = as_array(differences)
    if len(values) == 1:
        return math.nan
    if all_equal(values):
        return float(values[0] == 0)
    return float(stats.ttest_1samp(values, 0).pvalue)


def sign_flip_p_value(differences: Sequence[float]) -> float:
    """Tests whether paired differences are centred on 0.

    If the setting made no difference, each pair would have been equally likely to
    come out with the opposite sign. The p-value is the share of all 2**n sign
    patterns whose mean is at least as far from 0 (Fisher's randomisation test).
    Beyond 20 pairs it is estimated from 100,000 random patterns.

    Args:
        differences: float `[n]`, one per pair.

    Returns:
        The two-sided p-value; NaN for a single pair. With n pairs it is at least
        2 / 2**n, so it takes six pairs to fall below 0.05.

    Raises:
        ValueError: If there are no pairs.
    """
    values = as_array(differences)
    if len(values) == 1:
        return math.nan
    if len(values) > 20:
        return _sampled_sign_flip_p_value(values)
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate((sums + value, sums - value))
    rounding = 1e-9 * np.abs(values).sum()
    return float(np.mean(np.abs(sums) >= abs(values.sum()) - rounding))


def _sampled_sign_flip_p_value(values: np.ndarray) -> float:
    """Estimates the sign-flip p-value where there are too many patterns to list."""
    result = stats.permutation_test(
        (values,),
        np.mean,
        permutation_type="samples",
        n_resamples=100_000,
        batch=10_000,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def equivalence_p_value(differences: Sequence[float], margin: float) -> float:
    """Tests whether the mean difference is smaller than a margin in size.

    Two one-sided t tests (Schuirmann, 1987): a p-value below the level says that the
    mean lies within `margin` of 0.

    Args:
        differences: float `[n]`, one per pair.
        margin: Positive, in the units of the differences.

    Returns:
        The larger of the two p-values; NaN for a single pair. Differences that are
        all equal leave no doubt: 0 if they are smaller than the margin, otherwise 1.

    Raises:
        ValueError: If `margin` is not positive or there are no pairs.
    """
    if not margin > 0:
        raise ValueError(f"margin must be positive. Received: {margin}")
    values = as_array(differences)
    if len(values) == 1:
        return math.nan
    if all_equal(values):
        return float(abs(values[0]) >= margin)
    above = stats.ttest_1samp(values, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(values, margin, alternative="less").pvalue
    return float(max(above, below))


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Adjusts the p-values of several tests so that the family keeps its level.

    Args:
        p_values: float `[n]`, one per test, in any order. NaN marks a test that could
            not be made: it stays NaN and is not part of the family.

    Returns:
        float `[n]`, in the same order: reject where it is below the level (Holm,
        1979).
    """
    result: np.ndarray = np.array(p_values, float)
    made = np.flatnonzero(~np.isnan(result))
    order = made[np.argsort(result[made])]
    factors = np.arange(len(order), 0, -1)
    adjusted = np.maximum.accumulate(factors * result[order])
    result[order] = np.minimum(adjusted, 1)
    return result
