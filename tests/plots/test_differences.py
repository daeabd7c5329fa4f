import numpy as np

from plots import differences


def test_differences_show_every_seed_and_the_interval(ax, comparison):
    cell = ("cifar10", "resnet18")
    assert differences.draw_differences(ax, comparison, cell) is ax
    points = list(comparison.seed_differences[cell].values())
    np.testing.assert_allclose(ax.collections[0].get_offsets()[:, 1], points)
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == [*(f"seed {seed}" for seed in range(5)), "mean,\n95% interval"]
    effect = comparison.judgements[cell].effect
    bar = ax.containers[0].lines[2][0].get_segments()[0]
    np.testing.assert_allclose(bar[:, 1], [effect.low, effect.high])
