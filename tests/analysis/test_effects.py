import math

import numpy as np
import pytest
from scipy import stats

from normtest_tf.analysis import effects


def three_errors(probability, trials):
    """Returns three standard errors of a share of so many independent trials."""
    return 3 * math.sqrt(probability * (1 - probability) / trials)


def test_an_estimate_equals_one_computed_by_hand():
    # Differences 1, 2, 3: mean 2, sd 1, t(0.975, 2) = 4.30265.
    effect = effects.estimate_mean([1, 2, 3])
    assert (effect.n, effect.mean, effect.sd) == (3, 2, 1)
    half = 4.302652729911275 / math.sqrt(3)
    assert effect.low == pytest.approx(2 - half)
    assert effect.high == pytest.approx(2 + half)
    assert effect.half_width == pytest.approx(half)
    assert not effect.is_decided


def test_an_estimate_equals_scipys_paired_t_interval():
    rng = np.random.default_rng(0)
    treatment, control = rng.normal(size=(2, 9))
    expected = stats.ttest_rel(treatment, control).confidence_interval(0.9)
    effect = effects.estimate_mean(treatment - control, confidence=0.9)
    assert (effect.low, effect.high) == pytest.approx((expected.low, expected.high))
    assert effect.is_decided == (expected.low > 0 or expected.high < 0)


def test_one_pair_decides_nothing():
    effect = effects.estimate_mean([1])
    assert effect.mean == 1
    assert math.isnan(effect.sd)
    assert (effect.low, effect.high) == (-math.inf, math.inf)
    assert effect.half_width == math.inf
    assert not effect.is_decided


@pytest.mark.parametrize("pairs", [2, 5, 20])
def test_intervals_cover_the_truth_as_often_as_they_say(pairs):
    rng = np.random.default_rng(1)
    runs = rng.normal(0.3, 0.44, (2000, pairs))
    covered = 0
    for run in runs:
        effect = effects.estimate_mean(run)
        covered += effect.low < 0.3 < effect.high
    assert covered / 2000 == pytest.approx(0.95, abs=three_errors(0.95, 2000))


def test_the_binomial_standard_error_equals_one_computed_by_hand():
    assert effects.binomial_standard_error(0.9, 10_000) == pytest.approx(0.003)


def test_mean_over_cells_is_the_t_interval_of_the_means():
    effect = effects.mean_over_cells([[0, 2], [2], [1, 3, 5]])
    assert effect == effects.estimate_mean([1, 2, 3])


@pytest.mark.parametrize("number", [4, 16])
def test_intervals_over_cells_cover_the_truth_as_often_as_they_say(number):
    rng = np.random.default_rng(10)
    covered = 0
    for _ in range(600):
        means = rng.normal(0.2, 1, (number, 1))
        effect = effects.mean_over_cells(rng.normal(means, 0.44, (number, 5)))
        covered += effect.low < 0.2 < effect.high
    assert covered / 600 == pytest.approx(0.95, abs=three_errors(0.95, 600))


def test_the_t_test_equals_one_computed_by_hand():
    # Differences 1, 2, 3: t = 2 sqrt(3); two degrees of freedom have a closed form.
    t = 2 * math.sqrt(3)
    expected = 1 - t / math.sqrt(2 + t**2)
    assert effects.paired_t_p_value([1, 2, 3]) == pytest.approx(expected)


def test_tests_hold_their_level():
    studies = 2000
    zero = np.random.default_rng(2).normal(0, 0.44, (studies, 6))
    t = [effects.paired_t_p_value(study) for study in zero]
    # Schuirmann's test is exact in the limit where only one margin is near.
    at_margin = [effects.equivalence_p_value(study + 0.8, 0.8) for study in zero]
    for p_values in (t, at_margin):
        assert np.mean(np.less(p_values, 0.05)) == pytest.approx(
            0.05, abs=three_errors(0.05, studies)
        )


def test_equivalence_agrees_with_the_90_percent_interval():
    rng = np.random.default_rng(4)
    for values in rng.normal(0.1, 0.4, (20, 8)):
        effect = effects.estimate_mean(values, confidence=0.9)
        inside = effect.low > -0.3 and effect.high < 0.3
        assert (effects.equivalence_p_value(values, 0.3) < 0.05) == inside


def test_holm_equals_an_adjustment_by_hand():
    # Sorted 0.01, 0.02, 0.04: times 3, 2, 1, never decreasing.
    np.testing.assert_allclose(effects.holm([0.04, 0.01, 0.02]), [0.04, 0.03, 0.04])
    np.testing.assert_allclose(effects.holm([0.6, 0.7]), [1, 1])
    assert effects.holm([]).shape == (0,)
    # Tests that were not made are left out.
    adjusted = effects.holm([math.nan, 0.04, 0.01, math.nan])
    np.testing.assert_allclose(adjusted, [math.nan, 0.04, 0.02, math.nan])


@pytest.mark.parametrize("false_nulls", [0, 3])
def test_holm_keeps_the_level_of_the_family(false_nulls):
    rng = np.random.default_rng(7)
    p_values = rng.uniform(size=(4000, 6))
    p_values[:, :false_nulls] = 0
    true_nulls = np.array([effects.holm(row) for row in p_values])[:, false_nulls:]
    # A false null rejected first leaves the rest a family of their own.
    size = 6 - false_nulls
    expected = 1 - (1 - 0.05 / size) ** size
    rejected = np.mean((true_nulls < 0.05).any(axis=1))
    assert rejected == pytest.approx(expected, abs=three_errors(expected, 4000))


def test_one_pair_has_no_p_value_and_no_pairs_are_refused():
    assert math.isnan(effects.paired_t_p_value([0.3]))
    assert math.isnan(effects.equivalence_p_value([0.3], 0.5))
    for function in (
        effects.estimate_mean,
        effects.mean_over_cells,
        effects.paired_t_p_value,
        lambda differences: effects.equivalence_p_value(differences, 0.5),
    ):
        with pytest.raises(ValueError, match="at least one pair"):
            function([])
    with pytest.raises(ValueError, match="margin"):
        effects.equivalence_p_value([1, 2], 0)


# The second and third are equal but for rounding.
@pytest.mark.parametrize("values", [[0.25] * 4, [0.1] * 3, [0.3, 0.1 + 0.2], [0, 0]])
def test_equal_differences_leave_no_doubt(values):
    effect = effects.estimate_mean(values)
    assert (effect.sd, effect.half_width) == (0, 0)
    assert effects.paired_t_p_value(values) == (values[0] == 0)
    assert effects.equivalence_p_value(values, 0.5) == 0
    assert effects.equivalence_p_value(values, 0.05) == (values[0] > 0)


@pytest.mark.parametrize("difference", [0.5, 0.2])
def test_the_pairs_needed_have_the_power_in_simulations(difference):
    needed = effects.pairs_needed(sd=0.44, difference=difference)

    def detected(pairs):
        samples = np.random.default_rng(5).normal(difference, 0.44, (4000, pairs))
        return np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05)

    assert detected(needed) > 0.78
    assert detected(needed - 1) < 0.82


def test_pairs_needed_are_found_where_scipys_noncentral_t_is_nan():
    # scipy.stats.nct.cdf(-12.7, 1, 8) is NaN. The power at 2 pairs is 0.47.
    assert effects.pairs_needed(sd=1, difference=8 / math.sqrt(2)) == 3
    with pytest.raises(ValueError, match="difference"):
        effects.pairs_needed(sd=0.4, difference=0)
