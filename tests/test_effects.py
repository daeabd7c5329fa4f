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


def test_sign_flips_by_hand():
    # Of the 8 sign patterns only +++ and --- have a mean of 2 or more in size.
    assert effects.sign_flip_p_value([1, 2, 3]) == pytest.approx(2 / 8)
    # -1 + 2 + 3: also reached or passed by +++ and the two mirror images.
    assert effects.sign_flip_p_value([-1, 2, 3]) == pytest.approx(4 / 8)


def test_sign_flips_hold_their_level():
    rng = np.random.default_rng(2)
    p_values = [effects.sign_flip_p_value(rng.normal(size=6)) for _ in range(300)]
    assert np.mean(np.array(p_values) <= 0.0625) < 0.0625 + 3 * math.sqrt(0.06 / 300)


def test_bootstrap_interval_comes_near_the_t_interval():
    values = np.random.default_rng(3).normal(1, 2, 200)
    effect = effects.paired_effect(values, np.zeros(200))
    low, high = effects.bootstrap_interval(values)
    assert (low, high) == pytest.approx((effect.low, effect.high), abs=0.05)
    assert effects.bootstrap_interval(values) == (low, high)
    assert effects.bootstrap_interval([1.0, 1.0]) == (1.0, 1.0)


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.04: times 3, 2, 1, never decreasing.
    np.testing.assert_allclose(effects.holm([0.04, 0.01, 0.02]), [0.04, 0.03, 0.04])
    np.testing.assert_allclose(effects.holm([0.6, 0.7]), [1, 1])


def test_equivalence_agrees_with_the_90_percent_interval():
    rng = np.random.default_rng(4)
    for values in rng.normal(0.1, 0.4, (20, 8)):
        effect = effects.paired_effect(values, np.zeros(8), confidence=0.9)
        inside = effect.low > -0.3 and effect.high < 0.3
        assert (effects.equivalence_p_value(values, 0.3) < 0.05) == inside


@pytest.mark.parametrize("difference", [0.5, 0.3, 0.2])
def test_pairs_needed_by_simulation(difference):
    needed = effects.pairs_needed(sd=0.44, difference=difference)

    def power(pairs):
        samples = np.random.default_rng(5).normal(difference, 0.44, (4000, pairs))
        return np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05)

    assert power(needed) > 0.78
    assert power(needed - 1) < 0.82


def test_no_number_of_pairs_shows_no_difference():
    with pytest.raises(ValueError, match="difference"):
        effects.pairs_needed(sd=0.4, difference=0)
    assert effects.pairs_needed(sd=0, difference=1) == 2
