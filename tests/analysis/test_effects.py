import math

import numpy as np
import pytest
from scipy import stats

from normtest_tf.analysis import effects


def test_an_estimate_equals_scipys_paired_t_interval():
    treatment, control = np.random.default_rng(0).normal(size=(2, 9))
    expected = stats.ttest_rel(treatment, control).confidence_interval()
    values = treatment - control
    effect = effects.estimate_mean(values)
    assert (effect.low, effect.high) == pytest.approx((expected.low, expected.high))
    assert (effect.n, effect.sd) == (9, pytest.approx(np.std(values, ddof=1)))


@pytest.mark.parametrize(("values", "mean"), [([1], 1), ([], math.nan)])
def test_what_values_do_not_determine_is_nan(values, mean):
    effect = effects.estimate_mean(values)
    np.testing.assert_equal((effect.n, effect.mean), (len(values), mean))
    assert np.isnan([effect.sd, effect.low, effect.high, effect.half_width]).all()


def test_the_estimate_over_images_and_seeds_is_that_of_a_two_way_layout():
    images, seeds = 7, 3
    values = np.random.default_rng(3).normal(size=(images, seeds))
    values += np.arange(images)[:, None] + [0, 1, 3]
    of_image, of_seed = np.indices(values.shape).reshape(2, -1)
    columns = [of_image == i for i in range(images)], [of_seed == s for s in range(3)]

    def unexplained(*groups):
        design = np.array([np.ones(values.size), *(c for g in groups for c in g)]).T
        fitted = design @ np.linalg.lstsq(design, values.ravel(), rcond=None)[0]
        return np.square(values.ravel() - fitted).sum()

    left = unexplained(*columns)
    squares = np.array(
        [
            (unexplained(columns[1]) - left) / (images - 1),
            (unexplained(columns[0]) - left) / (seeds - 1),
            -left / (images - 1) / (seeds - 1),
        ]
    )
    freedoms = np.array([images - 1, seeds - 1, (images - 1) * (seeds - 1)])
    freedom = squares.sum() ** 2 / np.sum(squares**2 / freedoms)
    error = math.sqrt(squares.sum() / values.size)
    found = effects.estimate_crossed(values)
    assert (found.n, found.mean) == (3, pytest.approx(values.mean()))
    assert found.half_width == pytest.approx(stats.t.isf(0.025, freedom) * error)
    # Of one seed, it is that of the images; of images with one mean, that of the seeds.
    equal = np.add([1, 2, 4], np.outer([1, -1, 1, -1], [0.1, -0.1, 0]))
    expected = effects.estimate_mean([1, 2, 4])
    found = effects.estimate_crossed(equal)
    assert found.half_width == pytest.approx(expected.half_width)
    one, alone = effects.estimate_crossed(values[:, :1]), values[:, 0]
    assert one.half_width == pytest.approx(effects.estimate_mean(alone).half_width)
    assert not effects.estimate_crossed(np.zeros([4, 2])).has_interval


def test_mcnemars_test_is_that_of_a_fair_coin():
    one = np.array([True] * 9 + [False] * 5)
    other = np.array([True] * 3 + [False] * 10 + [True])
    tails = sum(math.comb(7, k) for k in (0, 1)) / 2**7
    assert effects.mcnemar_p_value(one, other) == pytest.approx(2 * tails)
    assert effects.mcnemar_p_value(one, one) == 1


def test_p_values_equal_scipys():
    studies = np.random.default_rng(2).normal(0, 0.44, (1000, 6))
    t = [effects.paired_t_p_value(study, 0) for study in studies]
    np.testing.assert_allclose(t, stats.ttest_1samp(studies, 0, axis=1).pvalue)
    small = [effects.equivalence_p_value(study + 0.8, 0.8, 0) for study in studies]
    sides = [
        stats.ttest_1samp(studies + 0.8, side, axis=1, alternative=which).pvalue
        for side, which in ((-0.8, "greater"), (0.8, "less"))
    ]
    np.testing.assert_allclose(small, np.maximum(*sides))


def test_holm_equals_an_adjustment_by_hand():
    nan = math.nan
    for p_values, expected in (
        # Sorted 0.01, 0.02, 0.04: times 3, 2, 1, never decreasing.
        ([0.04, 0.01, 0.02], [0.04, 0.03, 0.04]),
        ([0.6, 0.7], [1, 1]),
        ([], []),
        ([nan, 0.04, 0.01, nan], [nan, 0.04, 0.02, nan]),  # Tests that weren't made.
    ):
        np.testing.assert_allclose(effects.holm(p_values), expected)


def test_one_pair_has_no_p_value():
    assert math.isnan(effects.paired_t_p_value([0.3], 0.1))
    assert math.isnan(effects.equivalence_p_value([0.3], 0.5, 0.1))


# The second and third are equal but for rounding.
@pytest.mark.parametrize("values", [[0.25] * 4, [0.1] * 3, [0.3, 0.1 + 0.2], [0, 0]])
def test_equal_differences_have_the_spread_of_their_grid(values):
    effect = effects.estimate_mean(values, least_sd=0.2)
    assert effect.sd == 0.2
    n, error = len(values), 0.2 / math.sqrt(len(values))
    width = stats.t.isf(0.025, n - 1) * error if n > 2 else math.nan
    assert effect.half_width == pytest.approx(width, nan_ok=True)
    p_values = (
        effects.paired_t_p_value(values, 0.2),
        effects.equivalence_p_value(values, 0.5, 0.2),
    )
    t = np.array([values[0], 0.5 - values[0]]) / error
    expected = stats.t.sf(t, n - 1) * [2, 1] if n > 2 else [math.nan] * 2
    assert p_values == pytest.approx(expected, nan_ok=True)


def test_the_spread_of_the_grid_is_that_of_rounding():
    rng = np.random.default_rng(8)
    exact = rng.uniform(0, 1, [2, 100_000])
    one, other = 100 * (np.round(exact * 500) / 500 - exact)
    assert effects.grid_sd(500) == pytest.approx(np.std(one - other), rel=0.01)


@pytest.mark.parametrize("sd", [0.005, 0.02, 0.1])
@pytest.mark.parametrize("pairs", [2, 3])
def test_p_values_of_accuracies_on_a_grid_hold_their_level(sd, pairs):
    exact = np.random.default_rng(9).normal(0, sd, [4000, pairs])
    values = 0.02 * np.round(exact / 0.02)  # 5,000 test images.
    least = effects.grid_sd(5000)
    found = np.array([effects.paired_t_p_value(study, least) for study in values])
    for level in (0.05, 0.01):
        error = 3 * math.sqrt(level * (1 - level) / 4000)
        assert np.mean(found < level) <= level + error


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
    assert effects.pairs_needed(sd=0, difference=0.5) == 2
