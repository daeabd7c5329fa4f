import numpy as np
from matplotlib import pyplot as plt

from normtest_tf.analysis import effects
from plots import curves, differences, quickstart

CELLS = {
    "pretrain": {1: [0.1, 0.8], 2: [0.2, 0.9]},
    "finetune": {1: [0.3, 0.85], 2: [0.2, 0.91]},
}


def test_curves_show_means_and_bands_in_percent():
    _, ax = plt.subplots()
    values = {"finetune": np.array([[0.1, 0.4], [0.3, 0.6]])}
    assert curves.accuracy_curves(ax, values) is ax
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [20, 50])
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [1, 2])
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (10, 60)


def test_differences_show_every_seed_and_the_interval():
    points = {1: 5.0, 2: 1.0}
    effect = effects.estimate_mean([5, 1])
    _, ax = plt.subplots()
    assert differences.paired_differences(ax, points, effect) is ax
    np.testing.assert_allclose(ax.collections[0].get_offsets()[:, 1], [5, 1])
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["seed 1", "seed 2", "mean,\n95% interval"]


def test_quickstart_summary_gives_differences_in_points():
    summary = quickstart.summary(CELLS)
    assert "+5.00 points" in summary
    assert "+1.00 points" in summary
    assert "+3.00 points" in summary
    assert "Undecided" in summary


def test_verdicts():
    def verdict(values):
        return quickstart.verdict(effects.estimate_mean(values))

    assert "finetune beats pretrain" in verdict([1.0, 1.1, 0.9])
    assert "pretrain beats finetune" in verdict([-1.0, -1.1, -0.9])
    assert "Undecided" in verdict([-1.0, 1.1, 0.9])
    assert "One pair" in verdict([1.0])


def test_quickstart_figure_is_a_png(tmp_path):
    path = tmp_path / "figure.png"
    quickstart.write_figure(CELLS, path)
    assert path.read_bytes().startswith(b"\x89PNG")
