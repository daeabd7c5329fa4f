import math

import numpy as np
import pytest
from scipy import stats

from normtest_tf import effects


def test_paired_effect_by_hand():
    # Differences 1, 2, 3: mean 2, sd 1, t(0.975, 2) = 4.30265.
    effect = effects.paired_effect([2, 4, 6], [1, 2, 3])
    assert (effect.n, effect.mean, effect.sd) == (3, 2, 1)
    half = 4.302652729911275 / math.sqrt(3)
    assert effect.low == pytest.approx(2 - half)
    assert effect.high == pytest.approx(2 + half)
    assert not effect.is_decided


def test_paired_effect_equals_scipys_paired_t_interval():
    rng = np.random.default_rng(0)
    treatment, control = rng.normal(size=(2, 9))
    expected = stats.ttest_rel(treatment, control).confidence_interval(0.9)
    effect = effects.paired_effect(treatment, control, confidence=0.9)
    assert (effect.low, effect.high) == pytest.approx((expected.low, expected.high))
    assert effect.is_decided == (expected.low > 0 or expected.high < 0)


def test_one_pair_decides_nothing():
    effect = effects.paired_effect([2], [1])
    assert effect.mean == 1
    assert math.isnan(effect.sd)
    assert (effect.low, effect.high) == (-math.inf, math.inf)
    assert not effect.is_decided


def test_pairs_must_match():
    for pair in ([1, 2], [1]), ([], []):
        with pytest.raises(ValueError, match="same pairs"):
            effects.paired_effect(*pair)


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    runs = rng.normal(0.3, 0.5, (2000, 5))
    covered = 0
    for run in runs:
        effect = effects.paired_effect(run, np.zeros(5))
        covered += effect.low < 0.3 < effect.high
    assert 0.935 < covered / 2000 < 0.965


def test_binomial_standard_error():
    assert effects.binomial_standard_error(0.9, 10_000) == pytest.approx(0.003)
