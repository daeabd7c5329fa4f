"""Forest plots: each cell's difference with its interval, and their mean below."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from normtest_tf.analysis import Cell
from normtest_tf.analysis.comparisons import Comparison
from normtest_tf.analysis.effects import Estimate
from plots import style

SMALL = 8.5  # Points.
OVERALL = "mean over these cells"
_TITLE = 26  # Characters in a line of a title.
_SEEDS_BELOW = 0.24  # Offset of the seeds' dots below their mean, in rows.
_MARGIN_COLOR = "#e6e6e6"
_NOISE: dict[str, Any] = {
    "facecolor": "none",
    "edgecolor": style.GREY,
    "hatch": "////",
    "linewidth": 0.4,
    "alpha": 0.6,
}


@dataclasses.dataclass(frozen=True)
class Panel:
    """What one forest plot shows: effects, and differences of published runs."""

    comparison: Comparison
    published: Mapping[Cell, float] = dataclasses.field(default_factory=dict)

    @property
    def extent(self) -> tuple[float, float]:
        """The smallest and the largest value to show, in percentage points.

        Intervals of two pairs, 13 standard errors to each side, are cut off there.
        """
        comparison = self.comparison
        judged = comparison.judgements
        effects = [*(j.effect for j in judged.values()), comparison.over_cells]
        effects = [effect for effect in effects if effect.n > 2] or effects
        noise = [chaos for cell in judged if (chaos := comparison.chaos(cell))]
        values = [
            *(-comparison.margin, comparison.margin),
            *(end for effect in effects for end in (effect.low, effect.high)),
            *(v for s in comparison.seed_differences.values() for v in s.values()),
            *self.published.values(),
            *(end for chaos in noise for end in (-chaos, chaos)),
        ]
        return float(np.nanmin(values)), float(np.nanmax(values))


def draw_forest(ax: Axes, panel: Panel, cells: Sequence[Cell], note: str = "") -> Axes:
    """Draws seeds as dots, means with intervals, and the mean over cells."""
    comparison = panel.comparison
    color = style.color(comparison.treatment)
    margin = comparison.margin
    ax.axvspan(-margin, margin, color=_MARGIN_COLOR, lw=0, zorder=0)
    ax.axvline(0, color="black", linewidth=0.8, zorder=1)
    for row, cell in enumerate(cells):
        if cell in comparison.judgements:
            effect = comparison.judgements[cell].effect
            if chaos := comparison.chaos(cell):
                ax.barh(row, 2 * chaos, left=-chaos, height=0.3, zorder=1, **_NOISE)
            points = list(comparison.seed_differences[cell].values())
            rows = [row + _SEEDS_BELOW] * len(points)
            ax.scatter(points, rows, s=12, color=color, alpha=0.5, lw=0, zorder=2)
            _interval(ax, row, effect, color)
        if cell in panel.published:
            ax.scatter(panel.published[cell], row, marker="x", color="black", zorder=4)
    labels = [f"{cell.dataset}\n{cell.model}" for cell in cells]
    if len(cells) > 1:
        ax.axhline(len(cells) - 0.5, color=style.GREY, linewidth=0.6, linestyle=":")
        labels.append(OVERALL)
    if comparison.over_cells.n > 1:
        _interval(ax, len(cells), comparison.over_cells, "black", marker="D")
    ax.set_yticks(range(len(labels)), labels, fontsize=SMALL)
    ax.set_ylim(len(labels) - 0.45, -0.45)
    title = textwrap.fill(str(comparison), _TITLE) + (note and f"\n({note})")
    ax.set_title(title, loc="left", fontsize=10, fontweight="bold")
    return _decorate(ax, comparison)


def _interval(
    ax: Axes, row: float, effect: Estimate, color: str, marker: str = "o"
) -> None:
    """Draws a mean with its interval, if it has one."""
    ax.errorbar(
        effect.mean,
        row,
        xerr=effect.half_width if effect.has_interval else None,
        color=color,
        marker=marker,
        markersize=6,
        capsize=3.5,
        zorder=3,
    )


def _decorate(ax: Axes, comparison: Comparison) -> Axes:
    """Labels which side favours which setting, and hides the y axis's lines."""
    style.decorate(ax)
    ax.spines["left"].set_visible(False)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x", alpha=0.25)
    ax.tick_params(axis="x", labelsize=SMALL)
    ax.tick_params(axis="y", length=0)
    # In two lines: names may be as long as half of the axis.
    for side, align, setting, text, below in (
        (0, "left", comparison.control, f"← {comparison.control} better", 20),
        (1, "right", comparison.treatment, f"{comparison.treatment} better →", 32),
    ):
        ax.annotate(
            text,
            (side, 0),
            xytext=(0, -below),
            xycoords="axes fraction",
            textcoords="offset points",
            ha=align,
            va="top",
            fontsize=SMALL,
            color=style.color(setting),
        )
    return ax


def legend_handles(panels: Sequence[Panel]) -> list[Artist]:
    """Returns the legend entries of forest plots."""
    margin = panels[0].comparison.margin
    handles: list[Artist] = [
        _mark("one seed", marker="o", markersize=3.5, alpha=0.6, linestyle=""),
        _mark("mean over seeds, 95% interval", marker="o"),
    ]
    overall = [panel.comparison.over_cells for panel in panels]
    if any(mean.n > 1 for mean in overall):
        by_spread = any(mean.has_interval for mean in overall)
        label = OVERALL + ", 95% by their spread" * by_spread
        handles.append(_mark(label, marker="D", color="black"))
    handles.append(
        Patch(color=_MARGIN_COLOR, label=f"within the margin of ±{margin:g} points")
    )
    if any(panel.comparison.noise for panel in panels):
        handles.append(Patch(**_NOISE, label="what chaos alone does, 95%"))
    if any(panel.published for panel in panels):
        handles.append(
            _mark("compared with, see text", marker="x", color="black", linestyle="")
        )
    return handles


def _mark(label: str, **values: Any) -> Line2D:  # noqa: ANN401  (any style)
    return Line2D([], [], label=label, **({"color": style.GREY} | values))
