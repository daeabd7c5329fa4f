"""The figures of a study: accuracy by epoch in a grid, and the effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from normtest_tf.analysis.comparisons import Comparison
from normtest_tf.analysis.results import Cell, Results
from plots import curves, forest, style


def accuracy_by_epoch(results: Results) -> Figure:
    """Returns a panel for each data set (row) and model (column), a line a setting.

    Args:
        results: The runs. Panels whose cell has none stay empty.
    """
    datasets = list(dict.fromkeys(dataset for dataset, _ in results.cells))
    models = list(dict.fromkeys(model for _, model in results.cells))
    figure, grid = style.new_grid(len(datasets), len(models), 4.2, 3.2)
    for axes, dataset in zip(grid, datasets, strict=True):
        for ax, model in zip(axes, models, strict=True):
            cell = dataset, model
            lines = {
                setting: results.curves(cell, setting)
                for setting in results.settings
                if results.of(cell, setting)
            }
            if not lines:
                ax.set_axis_off()
                continue
            curves.accuracy_curves(ax, lines)
            ax.set_title(f"{model} on {dataset}", loc="left")
    return figure


def effects(
    comparisons: Sequence[Comparison], published: Mapping[Cell, float]
) -> Figure:
    """Returns a forest plot for each comparison, side by side.

    Args:
        comparisons: At least one; `published` belongs to the first.
        published: Differences of published single runs, by cell.
    """
    rows = max(len(comparison.judgements) for comparison in comparisons) + 1
    figure, grid = style.new_grid(1, len(comparisons), 4.2, 1.2 + 0.55 * rows)
    for number, (ax, comparison) in enumerate(zip(grid[0], comparisons, strict=True)):
        forest.forest(ax, comparison, published if number == 0 else None)
        if number and len(comparison.judgements) == rows - 1:
            ax.set_yticklabels([])
    return figure
