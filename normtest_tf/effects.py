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


def sign_flip_p_value(differences: Sequence[float]) -> float:
    """Tests whether paired differences are centred on 0, exactly.

    If the setting made no difference, each pair could as well have come out with
    the opposite sign. The p-value is the share of all 2**n sign patterns whose
    mean is at least as far from 0 (Fisher's randomisation test; scipy draws
    patterns at random where there are too many to list).

    Args:
        differences: One a pair.

    Returns:
        The two-sided p-value. With n pairs it can't be below 2 / 2**n.
    """
    result = stats.permutation_test(
        (np.asarray(differences, float),),
        np.mean,
        permutation_type="samples",
        n_resamples=100_000,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def bootstrap_interval(
    differences: Sequence[float], confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Returns the bias-corrected and accelerated bootstrap interval of the mean.

    It does without normality but needs pairs: with fewer than about ten it is too
    narrow, and Student's t is the one to trust.

    Args:
        differences: One a pair, at least two.
        confidence: Of the interval.
        seed: Of the resampling.

    Returns:
        Lower and upper end; the mean twice if all differences are equal.
    """
    values = np.asarray(differences, float)
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    interval = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=confidence,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Adjusts p-values of several tests so that the family keeps its level.

    Args:
        p_values: One a test, in any order.

    Returns:
        float `[n]`, in the same order: reject where it is below the level (Holm,
        1979).
    """
    p_values = np.asarray(p_values, float)
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.maximum.accumulate(factors * p_values[order])
    result = np.empty_like(adjusted)
    result[order] = np.minimum(adjusted, 1)
    return result


def equivalence_p_value(differences: Sequence[float], margin: float) -> float:
    """Tests whether the mean difference is smaller than a margin, either way.

    Two one-sided t tests (Schuirmann, 1987): below the level, the mean lies within
    `margin` of 0.

    Args:
        differences: One a pair, at least two.
        margin: Positive, in the differences' units.

    Returns:
        The larger of the two p-values.
    """
    values = np.asarray(differences, float)
    above = stats.ttest_1samp(values, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(values, margin, alternative="less").pvalue
    return float(max(above, below))


def pairs_needed(
    sd: float, difference: float, power: float = 0.8, level: float = 0.05
) -> int:
    """Returns how many pairs a two-sided paired t test needs to see a difference.

    Args:
        sd: Standard deviation of the paired differences.
        difference: True mean difference to be seen, in the same units.
        power: Probability of seeing it.
        level: Of the test.

    Returns:
        The smallest number of pairs, at least 2.

    Raises:
        ValueError: If `difference` is 0, which no number of pairs can show.
    """
    if difference == 0:
        raise ValueError("difference must not be 0")
    if sd == 0:
        return 2
    pairs = 2
    while _power(pairs, abs(difference) / sd, level) < power:
        pairs += 1
    return pairs


def _power(pairs: int, standardised: float, level: float) -> float:
    """Returns the power of a two-sided paired t test, from the noncentral t."""
    freedom = pairs - 1
    critical = stats.t.ppf(1 - level / 2, freedom)
    shift = standardised * math.sqrt(pairs)
    upper = stats.nct.sf(critical, freedom, shift)
    lower = stats.nct.cdf(-critical, freedom, shift)
    return float(upper + lower)
