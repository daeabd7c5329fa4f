"""Forest plots: an effect and its interval for each cell, and their mean below."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from normtest_tf.analysis.comparisons import Comparison
from normtest_tf.analysis.results import Cell
from plots import style


def forest(
    ax: Axes, comparison: Comparison, published: Mapping[Cell, float] | None = None
) -> Axes:
    """Draws a comparison: seeds as dots, means with intervals, the mean over cells.

    Args:
        ax: Where to draw.
        comparison: The effects, in percentage points.
        published: Differences of published single runs, by cell, drawn as crosses.

    Returns:
        `ax`.
    """
    color = style.COLORS.get(comparison.treatment, "black")
    labels = []
    for row, (cell, judgement) in enumerate(comparison.judgements.items()):
        points = list(comparison.differences[cell].values())
        ax.scatter(points, [row] * len(points), s=9, color=color, alpha=0.35, zorder=2)
        effect = judgement.effect
        _interval(ax, row, effect.mean, effect.low, effect.high, color)
        if published and cell in published:
            ax.scatter(published[cell], row, marker="x", color="black", zorder=4)
        labels.append(f"{cell[0]}\n{cell[1]}")
    over = comparison.over_cells
    if over.n > 1:
        row = len(labels)
        _interval(ax, row, over.mean, over.low, over.high, "black", marker="D")
        labels.append(f"mean over\n{over.n} cells")
    ax.axvline(0, color="black", linewidth=0.8)
    ax.axvspan(-comparison.margin, comparison.margin, color="black", alpha=0.06, lw=0)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_xlabel("percentage points")
    ax.set_title(f"{comparison.treatment} - {comparison.control}", loc="left")
    style.decorate(ax)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x", alpha=0.25)
    return ax


def _interval(
    ax: Axes,
    row: int,
    mean: float,
    low: float,
    high: float,
    color: str,
    marker: str = "o",
) -> None:
    """Draws a mean with its interval, or without where there is none."""
    ends = np.array([[mean - low], [high - mean]])
    ax.errorbar(
        mean,
        row,
        xerr=ends if np.isfinite(ends).all() else None,
        color=color,
        marker=marker,
        capsize=4,
        zorder=3,
    )
