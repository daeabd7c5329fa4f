import math

import numpy as np
import pytest
from scipy import stats

from normtest_tf import effects


def three_errors(probability, trials):
    """Returns three standard errors of a share of so many independent trials."""
    return 3 * math.sqrt(probability * (1 - probability) / trials)


def test_paired_effect_by_hand():
    # Differences 1, 2, 3: mean 2, sd 1, t(0.975, 2) = 4.30265.
    effect = effects.paired_effect([2, 4, 6], [1, 2, 3])
    assert (effect.n, effect.mean, effect.sd) == (3, 2, 1)
    half = 4.302652729911275 / math.sqrt(3)
    assert effect.low == pytest.approx(2 - half)
    assert effect.high == pytest.approx(2 + half)
    assert effect.half_width == pytest.approx(half)
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
    assert effect.half_width == math.inf
    assert not effect.is_decided


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
def test_no_pairs(function):
    with pytest.raises(ValueError, match="at least one pair"):
        function([])


# The second and third are equal but for rounding.
@pytest.mark.parametrize("values", [[0.25] * 4, [0.1] * 3, [0.3, 0.1 + 0.2]])
def test_equal_differences_leave_no_doubt(values):
    effect = effects.paired_effect(values, [0] * len(values))
    assert (effect.sd, effect.half_width) == (0, 0)
    assert effects.paired_t_p_value(values) == 0
    assert effects.equivalence_p_value(values, 0.5) == 0
    assert effects.equivalence_p_value(values, 0.05) == 1
    assert effects.bootstrap_interval(values) == pytest.approx((values[0],) * 2)
    assert effects.sign_flip_p_value(values) == 2 / 2 ** len(values)


def test_no_difference_in_any_pair():
    assert effects.paired_t_p_value([0, 0]) == 1
    assert effects.sign_flip_p_value([0, 0]) == 1
    assert effects.equivalence_p_value([0, 0], 0.5) == 0
    assert effects.bootstrap_interval([0, 0]) == (0, 0)


def test_pairs_must_match():
    for pair in ([1, 2], [1]), ([], []):
        with pytest.raises(ValueError, match="same pairs"):
            effects.paired_effect(*pair)


@pytest.mark.parametrize("pairs", [2, 5, 20])
def test_intervals_cover_the_truth_as_often_as_they_say(pairs):
    rng = np.random.default_rng(1)
    runs = rng.normal(0.3, 0.44, (2000, pairs))
    covered = 0
    for run in runs:
        effect = effects.paired_effect(run, np.zeros(pairs))
        covered += effect.low < 0.3 < effect.high
    assert covered / 2000 == pytest.approx(0.95, abs=three_errors(0.95, 2000))


def test_t_p_value_by_hand():
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


def test_binomial_standard_error():
    assert effects.binomial_standard_error(0.9, 10_000) == pytest.approx(0.003)


def test_sign_flips_by_hand():
    # Of the 8 sign patterns only +++ and --- have a mean of 2 or more in size.
    assert effects.sign_flip_p_value([1, 2, 3]) == pytest.approx(2 / 8)
    # -1 + 2 + 3: also reached or passed by +++ and the two mirror images.
    assert effects.sign_flip_p_value([-1, 2, 3]) == pytest.approx(4 / 8)


@pytest.mark.parametrize("pairs", [2, 5, 13])
def test_sign_flips_equal_scipys(pairs):
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


def test_pooled_effect_by_hand():
    # Means of cells 1 and 4; two draws of two cells: 1, 2.5 (twice as often) or 4.
    pooled = effects.pooled_effect([[1, 1, 1], [4]], confidence=0.2)
    assert (pooled.mean, pooled.cells, pooled.pairs) == (2.5, 2, 4)
    assert (pooled.low, pooled.high, pooled.confidence) == (2.5, 2.5, 0.2)
    wide = effects.pooled_effect([[1, 1, 1], [4]], confidence=0.6)
    assert (wide.low, wide.high) == (1, 4)


def test_pooled_effect_equals_a_bootstrap_in_plain_loops():
    rng = np.random.default_rng(8)
    cells = [np.array([-1, 1]), rng.normal(0.1, 0.4, 9), rng.normal(0.2, 0.4, 5)]
    means = []
    for _ in range(10_000):
        drawn = [cells[i] for i in rng.integers(3, size=3)]
        means.append(np.mean([rng.choice(cell, len(cell)).mean() for cell in drawn]))
    expected = np.quantile(means, [0.05, 0.95])
    pooled = effects.pooled_effect(cells, confidence=0.9)
    assert (pooled.low, pooled.high) == pytest.approx(expected, abs=0.02)
    assert pooled == effects.pooled_effect(cells, confidence=0.9)
    assert pooled.mean == pytest.approx(np.mean([cell.mean() for cell in cells]))


def test_pooling_one_cell_is_the_bootstrap_of_its_pairs():
    values = np.random.default_rng(9).normal(1, 2, 50)
    pooled = effects.pooled_effect([values])
    expected = stats.bootstrap(
        (values,), np.mean, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert (pooled.low, pooled.high) == pytest.approx(tuple(expected), abs=0.05)
    assert math.isinf(effects.mean_over_cells([values]).half_width)


def test_mean_over_cells_is_the_t_interval_of_the_means():
    effect = effects.mean_over_cells([[0, 2], [2], [1, 3, 5]])
    assert effect == effects.paired_effect([1, 2, 3], [0, 0, 0])


@pytest.mark.parametrize("function", [effects.pooled_effect, effects.mean_over_cells])
@pytest.mark.parametrize("cells", [[], [[1.0], []]])
def test_cells_must_hold_pairs(function, cells):
    with pytest.raises(ValueError, match="at least one pair"):
        function(cells)


@pytest.mark.parametrize("number", [4, 8, 16])
def test_coverage_of_the_two_intervals_over_cells(number):
    studies = 600
    rng = np.random.default_rng(10)
    bootstrap = student = 0
    for study in range(studies):
        means = rng.normal(0.2, 1, (number, 1))
        cells = rng.normal(means, 0.44, (number, 5))
        pooled = effects.pooled_effect(cells, resamples=500, seed=study)
        bootstrap += pooled.low < 0.2 < pooled.high
        effect = effects.mean_over_cells(cells)
        student += effect.low < 0.2 < effect.high
    assert student / studies == pytest.approx(0.95, abs=three_errors(0.95, studies))
    # Where cells differ much more than pairs, the bootstrap's interval is about the
    # normal one with the standard deviation that divides by the number of cells.
    narrow = stats.norm.ppf(0.975) * math.sqrt(1 - 1 / number)
    expected = 1 - 2 * stats.t.sf(narrow, number - 1)
    room = three_errors(expected, studies) + 0.015
    assert bootstrap / studies == pytest.approx(expected, abs=room)


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


def test_pairs_needed_where_the_noncentral_t_of_scipy_is_nan():
    # scipy.stats.nct.cdf(-12.7, 1, 8) is NaN. The power at 2 pairs is 0.47.
    assert effects.pairs_needed(sd=1, difference=8 / math.sqrt(2)) == 3


@pytest.mark.parametrize("pairs", [2, 3, 5, 20, 100])
def test_detectable_difference_is_seen_as_often_as_asked(pairs):
    difference = effects.detectable_difference(sd=0.44, pairs=pairs)
    samples = np.random.default_rng(11).normal(difference, 0.44, (4000, pairs))
    seen = np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05)
    assert seen == pytest.approx(0.8, abs=three_errors(0.8, 4000))
    assert effects.pairs_needed(0.44, 1.0001 * difference) == pairs
    assert effects.pairs_needed(0.44, 0.9999 * difference) == pairs + 1


def test_detectable_difference_from_cohens_table():
    # Cohen (1988), d' for one sample: 0.8 power at two-sided 0.05 with n = 34 is 0.5.
    assert effects.detectable_difference(1, 34) == pytest.approx(0.5, abs=0.01)
    assert effects.detectable_difference(0, 5) == 0


@pytest.mark.parametrize(("pairs", "power"), [(1, 0.8), (5, 0.05), (5, 1)])
def test_undetectable(pairs, power):
    with pytest.raises(ValueError, match="pairs must"):
        effects.detectable_difference(1, pairs, power)


def test_no_number_of_pairs_shows_no_difference():
    with pytest.raises(ValueError, match="difference"):
        effects.pairs_needed(sd=0.4, difference=0)
    with pytest.raises(ValueError, match="sd"):
        effects.pairs_needed(sd=math.nan, difference=1)
    with pytest.raises(ValueError, match="margin"):
        effects.equivalence_p_value([1, 2], 0)
    assert effects.pairs_needed(sd=0, difference=1) == 2
