"""The two figures of a report: accuracy by epoch in a grid, and the effects."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure

from normtest_tf.analysis import Results
from plots import curves, forest, style

MAX_COLUMNS = 3  # Of forest plots, to fit a page 900 pixels wide.
MAX_CURVES = 4  # Columns of accuracy by epoch.
TITLE = 44  # Characters in a line of their titles.
MAX_RATIO = 2.0  # Panels share a scale if their ranges differ by at most this factor.


def accuracy_figure(results: Results) -> Figure:
    """Returns a panel for each cell; a data set's are in one row, or in several."""
    models = len({cell.model for cell in results.cells})
    columns = math.ceil(models / math.ceil(models / MAX_CURVES))
    rows = math.ceil(len(results.cells) / columns)
    in_legend = min(2 * columns, 5)
    legend = 0.22 * math.ceil(len(results.settings) / in_legend)
    figure, grid = style.new_grid(rows, columns, 4.2, 2.9 + legend / rows)
    handles = {}
    for ax, cell in zip(grid.flat, results.cells, strict=False):
        lines = {
            setting: results.accuracy_by_epoch(cell, setting)
            for setting in results.settings
            if results.runs_of(cell, setting)
        }
        curves.draw_curves(ax, lines)
        title = textwrap.wrap(
            f"{cell.model} on {cell.dataset}", TITLE, break_on_hyphens=False
        )
        ax.set_title("\n".join(title), loc="left", fontsize=10)
        handles |= dict(zip(lines, ax.lines, strict=True))
    for ax in grid.flat[len(results.cells) :]:
        ax.set_axis_off()
    figure.legend(
        handles=[handles[setting] for setting in results.settings],
        loc="outside lower center",
        ncols=in_legend,
        frameon=False,
        fontsize=forest.SMALL,
    )
    return figure


def effects_figure(panels: Sequence[forest.Panel]) -> Figure:
    """Returns a forest plot for each comparison, side by side, with one legend."""
    cells = list(dict.fromkeys(c for p in panels for c in p.comparison.judgements))
    columns = min(len(panels), MAX_COLUMNS)
    rows = math.ceil(len(panels) / columns)
    names = 0.3 + 0.07 * max(map(len, (*itertools.chain(*cells), forest.OVERALL)))
    width = (names + 2.5 * max(2, columns)) / columns
    height = 0.8 + 0.44 * (len(cells) + (len(cells) > 1))
    figure, grid = style.new_grid(rows, columns, width, height + 0.9 / rows)
    sharing = _sharing_a_scale(panels)
    limits = _padded(sharing)
    for number, (ax, panel) in enumerate(zip(grid.flat, panels, strict=False)):
        is_shared = panel in sharing
        forest.draw_forest(ax, panel, cells, "" if is_shared else "scale differs")
        ax.set_xlim(*(limits if is_shared else _padded([panel])))
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
    """Returns the largest group of panels with similar ranges, the first's if equal."""
    widths = [high - low for low, high in (panel.extent for panel in panels)]
    groups = [
        [
            panel
            for panel, width in zip(panels, widths, strict=True)
            if narrowest <= width <= MAX_RATIO * narrowest
        ]
        for narrowest in sorted(widths)
    ]
    return max(groups, key=lambda group: (len(group), panels[0] in group))


def _padded(panels: Sequence[forest.Panel]) -> tuple[float, float]:
    """Returns limits that show all values of some panels."""
    low = min(panel.extent[0] for panel in panels)
    high = max(panel.extent[1] for panel in panels)
    padding = 0.06 * (high - low)
    return low - padding, high + padding
