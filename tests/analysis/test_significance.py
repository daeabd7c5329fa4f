import math

import numpy as np
import pytest
from scipy import stats

from normtest_tf.analysis import effects


def three_errors(probability, trials):
    """Returns three standard errors of a share of so many independent trials."""
    return 3 * math.sqrt(probability * (1 - probability) / trials)


def test_the_t_test_equals_one_computed_by_hand():
    # Differences 1, 2, 3: t = 2 sqrt(3); two degrees of freedom have a closed form.
    t = 2 * math.sqrt(3)
    expected = 1 - t / math.sqrt(2 + t**2)
    assert effects.paired_t_p_value([1, 2, 3]) == pytest.approx(expected)


def test_tests_hold_their_level():
    studies = 2000
    rng = np.random.default_rng(2)
    zero = rng.normal(0, 0.44, (studies, 6))
    t = [effects.paired_t_p_value(study) for study in zero]
    assert np.mean(np.less(t, 0.05)) == pytest.approx(
        0.05, abs=three_errors(0.05, studies)
    )
    # Six signs have 64 patterns, so p is a multiple of 1/32 and exact at each.
    flips = [effects.sign_flip_p_value(study) for study in zero]
    assert np.mean(np.less_equal(flips, 3 / 32)) == pytest.approx(
        3 / 32, abs=three_errors(3 / 32, studies)
    )
    # Schuirmann's test is exact in the limit where only one margin is near.
    at_margin = [effects.equivalence_p_value(study + 0.8, 0.8) for study in zero]
    assert np.mean(np.less(at_margin, 0.05)) == pytest.approx(
        0.05, abs=three_errors(0.05, studies)
    )


def test_sign_flips_equal_patterns_counted_by_hand():
    # Of the 8 sign patterns only +++ and --- have a mean of 2 or more in size.
    assert effects.sign_flip_p_value([1, 2, 3]) == pytest.approx(2 / 8)
    # -1 + 2 + 3: also reached or passed by +++ and the two mirror images.
    assert effects.sign_flip_p_value([-1, 2, 3]) == pytest.approx(4 / 8)


@pytest.mark.parametrize("pairs", [2, 5, 13])
def test_sign_flips_equal_scipys_permutation_test(pairs):
    # Rounded, so that many patterns tie with the observed one.
    values = np.random.default_rng(2).normal(0.2, 0.4, pairs).round(1)
    expected = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=2**pairs
    )
    assert effects.sign_flip_p_value(values) == pytest.approx(expected.pvalue)


def test_sign_flips_of_signs_are_the_binomial_test():
    # 20 pairs are counted out, 25 drawn at random.
    signs = [1] * 15 + [-1] * 5
    expected = stats.binomtest(15, 20).pvalue
    assert effects.sign_flip_p_value(signs) == pytest.approx(expected)
    signs = [1] * 18 + [-1] * 7
    expected = stats.binomtest(18, 25).pvalue
    drawn = effects.sign_flip_p_value(signs)
    assert drawn == pytest.approx(expected, abs=three_errors(expected, 100_000))
    assert drawn == effects.sign_flip_p_value(signs)


def test_holm_equals_an_adjustment_by_hand():
    # Sorted 0.01, 0.02, 0.04: times 3, 2, 1, never decreasing.
    np.testing.assert_allclose(effects.holm([0.04, 0.01, 0.02]), [0.04, 0.03, 0.04])
    np.testing.assert_allclose(effects.holm([0.6, 0.7]), [1, 1])
    assert effects.holm([]).shape == (0,)


def test_holm_leaves_out_tests_that_were_not_made():
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


def test_equivalence_agrees_with_the_90_percent_interval():
    rng = np.random.default_rng(4)
    for values in rng.normal(0.1, 0.4, (20, 8)):
        effect = effects.estimate_mean(values, confidence=0.9)
        inside = effect.low > -0.3 and effect.high < 0.3
        assert (effects.equivalence_p_value(values, 0.3) < 0.05) == inside


def test_one_pair_has_no_p_value_and_no_bootstrap():
    assert math.isnan(effects.paired_t_p_value([0.3]))
    assert math.isnan(effects.sign_flip_p_value([0.3]))
    assert math.isnan(effects.equivalence_p_value([0.3], 0.5))
    assert np.isnan(effects.bootstrap_interval([0.3])).all()


@pytest.mark.parametrize(
    "function",
    [
        effects.paired_t_p_value,
        effects.sign_flip_p_value,
        effects.bootstrap_interval,
        lambda differences: effects.equivalence_p_value(differences, 0.5),
    ],
)
def test_no_pairs_are_refused(function):
    with pytest.raises(ValueError, match="at least one pair"):
        function([])


# The second and third are equal but for rounding.
@pytest.mark.parametrize("values", [[0.25] * 4, [0.1] * 3, [0.3, 0.1 + 0.2]])
def test_equal_differences_leave_no_doubt(values):
    effect = effects.estimate_mean(values)
    assert (effect.sd, effect.half_width) == (0, 0)
    assert effects.paired_t_p_value(values) == 0
    assert effects.equivalence_p_value(values, 0.5) == 0
    assert effects.equivalence_p_value(values, 0.05) == 1
    assert effects.bootstrap_interval(values) == pytest.approx((values[0],) * 2)
    assert effects.sign_flip_p_value(values) == 2 / 2 ** len(values)


def test_pairs_without_a_difference_leave_no_doubt():
    assert effects.paired_t_p_value([0, 0]) == 1
    assert effects.sign_flip_p_value([0, 0]) == 1
    assert effects.equivalence_p_value([0, 0], 0.5) == 0
    assert effects.bootstrap_interval([0, 0]) == (0, 0)
