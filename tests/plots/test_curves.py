"""Accuracy by epoch."""

import numpy as np

from plots import curves


def test_curves_show_means_and_bands_in_percent(ax):
    values = {"finetune": np.array([[0.1, 0.4], [0.3, 0.6]])}
    assert curves.draw_curves(ax, values) is ax
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [20, 50])
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [1, 2])
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (10, 60)
