import numpy as np

from normtest_tf.analysis import comparisons, results
from plots import forest
from tests.helpers.fake_results import CELLS, write_run


def test_a_forest_plot_shows_sides_seeds_means_and_intervals(ax, comparison):
    forest.draw_forest(ax, forest.Panel(comparison), CELLS)
    sides = [(text.get_text(), text.xy) for text in ax.texts]
    assert sides == [("← pretrain better", (0, 0)), ("finetune better →", (1, 0))]
    for row, cell in enumerate(CELLS):
        seeds = ax.collections[2 * row].get_offsets()
        points = list(comparison.seed_differences[cell].values())
        np.testing.assert_allclose(seeds[:, 0], points)
    assert len(ax.containers) == len(CELLS) + 1
    effects = [comparison.judgements[cell].effect for cell in CELLS]
    for container, effect in zip(
        ax.containers, [*effects, comparison.over_cells], strict=True
    ):
        bar = container.lines[2][0].get_segments()[0]
        np.testing.assert_allclose(bar[:, 0], [effect.low, effect.high])
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == [*("\n".join(cell) for cell in CELLS), "mean over these cells"]


def test_a_single_pair_has_a_mean_without_interval(ax, tmp_path):
    write_run(tmp_path, normalization="finetune", final=0.8)
    write_run(tmp_path, normalization="pretrain", final=0.7)
    found = results.read(tmp_path)
    panel = forest.Panel(comparisons.compare(found, "finetune"))
    forest.draw_forest(ax, panel, found.cells)
    (container,) = ax.containers
    assert not container.has_xerr
    assert panel.extent == (-0.5, 10)


def test_the_extent_covers_margin_intervals_seeds_and_published_runs(comparison):
    low, high = forest.Panel(comparison).extent
    assert low == -0.5
    assert high == max(
        comparison.over_cells.high,
        *(judgement.effect.high for judgement in comparison.judgements.values()),
        *(max(s.values()) for s in comparison.seed_differences.values()),
    )
    published = {CELLS[0]: -3.0, CELLS[1]: 7.0}
    assert forest.Panel(comparison, published).extent == (-3, 7)


def test_an_interval_of_two_pairs_does_not_set_the_scale(tmp_path):
    for model, finals in {
        "resnet18": [0.8, 0.81, 0.82],
        "resnet50": [0.8, 0.9],
    }.items():
        for seed, final in enumerate(finals):
            write_run(tmp_path, "cifar10", model, "finetune", seed, final)
            write_run(tmp_path, "cifar10", model, "pretrain", seed, 0.8)
    comparison = comparisons.compare(results.read(tmp_path), "finetune")
    assert max(each.effect.high for each in comparison.judgements.values()) > 60
    assert forest.Panel(comparison).extent[1] == 10
