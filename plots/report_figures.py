"""The two figures of a report: accuracy by epoch in a grid, and the effects."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from normtest_tf.analysis import Cell, Results
from plots import curves, forest, style

MAX_COLUMNS = 3  # Of forest plots, to fit a page 900 pixels wide.
MAX_RATIO = 2.0  # Panels share a scale if their ranges differ by at most this factor.


def accuracy_figure(results: Results) -> Figure:
    """Returns a panel for each data set (row) and model (column)."""
    datasets = list(dict.fromkeys(cell.dataset for cell in results.cells))
    models = list(dict.fromkeys(cell.model for cell in results.cells))
    figure, grid = style.new_grid(len(datasets), len(models), 4.2, 2.9)
    handles = {}
    for axes, dataset in zip(grid, datasets, strict=True):
        for ax, model in zip(axes, models, strict=True):
            cell = Cell(dataset, model)
            lines = {
                setting: results.accuracy_by_epoch(cell, setting)
                for setting in results.settings
                if results.runs_of(cell, setting)
            }
            if not lines:
                ax.set_axis_off()
                continue
            curves.draw_curves(ax, lines)
            ax.set_title(f"{model} on {dataset}", loc="left", fontsize=11)
            handles |= dict(zip(lines, ax.lines, strict=True))
    ordered = [handles[setting] for setting in results.settings]
    figure.legend(handles=ordered, loc="outside lower center", ncols=4, frameon=False)
    return figure


def effects_figure(panels: Sequence[forest.Panel]) -> Figure:
    """Returns a forest plot for each comparison, side by side, with one legend."""
    cells = list(dict.fromkeys(c for p in panels for c in p.comparison.judgements))
    columns = min(len(panels), MAX_COLUMNS)
    rows = math.ceil(len(panels) / columns)
    width = (1.5 + 2.5 * max(2, columns)) / columns
    height = 0.8 + 0.44 * (len(cells) + (len(cells) > 1))
    figure, grid = style.new_grid(rows, columns, width, height + 0.9 / rows)
    sharing = _sharing_a_scale(panels)
    limits = _padded(sharing)
    for number, (ax, panel) in enumerate(zip(grid.flat, panels, strict=False)):
        forest.draw_forest(ax, panel, cells)
        ax.set_xlim(*(limits if panel in sharing else _padded([panel])))
        if panel not in sharing:
            forest.note_scale(ax)
        if number % columns:
            ax.set_yticklabels([])
    for ax in grid.flat[len(panels) :]:
        ax.set_axis_off()
    figure.suptitle(
        "Difference in test accuracy (percentage points)",
        x=0.01,
        ha="left",
        fontsize=11,
    )
    figure.get_layout_engine().set(wspace=0.09, h_pad=0.06)
    figure.legend(
        handles=forest.legend_handles(panels),
        loc="outside lower center",
        ncols=max(2, columns),
        frameon=False,
        fontsize=forest.SMALL,
    )
    return figure


def _sharing_a_scale(panels: Sequence[forest.Panel]) -> list[forest.Panel]:
    """Returns the largest group of panels with similar ranges."""
    widths = [high - low for low, high in (panel.extent for panel in panels)]
    groups = [
        [
            panel
            for panel, width in zip(panels, widths, strict=True)
            if narrowest <= width <= MAX_RATIO * narrowest
        ]
        for narrowest in sorted(widths)
    ]
    return max(groups, key=len)


def _padded(panels: Sequence[forest.Panel]) -> tuple[float, float]:
    """Returns limits that show all values of some panels."""
    low = min(panel.extent[0] for panel in panels)
    high = max(panel.extent[1] for panel in panels)
    padding = 0.06 * (high - low)
    return low - padding, high + padding
