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


def test_the_bootstrap_interval_is_close_to_the_t_interval():
    values = np.random.default_rng(3).normal(1, 2, 200)
    effect = effects.estimate_mean(values)
    low, high = effects.bootstrap_interval(values)
    assert (low, high) == pytest.approx((effect.low, effect.high), abs=0.05)
    assert effects.bootstrap_interval(values) == (low, high)
    assert effects.bootstrap_interval([1.0, 1.0]) == (1.0, 1.0)


def test_a_pooled_effect_equals_one_computed_by_hand():
    # Means of cells 1 and 4; two draws of two cells: 1, 2.5 (twice as often) or 4.
    pooled = effects.pooled_effect([[1, 1, 1], [4]], confidence=0.2)
    assert (pooled.mean, pooled.cells, pooled.pairs) == (2.5, 2, 4)
    assert (pooled.low, pooled.high, pooled.confidence) == (2.5, 2.5, 0.2)
    wide = effects.pooled_effect([[1, 1, 1], [4]], confidence=0.6)
    assert (wide.low, wide.high) == (1, 4)


def test_a_pooled_effect_equals_a_bootstrap_in_plain_loops():
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
    assert effect == effects.estimate_mean([1, 2, 3])


@pytest.mark.parametrize("function", [effects.pooled_effect, effects.mean_over_cells])
@pytest.mark.parametrize("cells", [[], [[1.0], []]])
def test_cells_must_hold_pairs(function, cells):
    with pytest.raises(ValueError, match="at least one pair"):
        function(cells)


@pytest.mark.parametrize("number", [4, 8, 16])
def test_intervals_over_cells_cover_the_truth_as_often_as_documented(number):
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
