"""The axes of a cell: accuracy by epoch, and paired differences."""

import numpy as np

from plots import curves, differences
from tests.helpers.fake_results import CELLS


def test_curves_show_means_and_bands_in_percent(ax):
    values = {"finetune": np.array([[0.1, 0.4], [0.3, 0.6]])}
    assert curves.draw_curves(ax, values) is ax
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [20, 50])
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [1, 2])
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (10, 60)


def test_differences_show_every_seed_and_the_interval(ax, comparison):
    assert differences.draw_differences(ax, comparison, CELLS[0]) is ax
    points = list(comparison.seed_differences[CELLS[0]].values())
    np.testing.assert_allclose(ax.collections[0].get_offsets()[:, 1], points)
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == [*(f"seed {seed}" for seed in range(5)), "mean,\n95% interval"]
    effect = comparison.judgements[CELLS[0]].effect
    bar = ax.containers[0].lines[2][0].get_segments()[0]
    np.testing.assert_allclose(bar[:, 1], [effect.low, effect.high])
