"""The paired differences of one cell, with the confidence interval of their mean."""

from __future__ import annotations

from matplotlib.axes import Axes

from normtest_tf.analysis import Cell
from normtest_tf.analysis.comparisons import Comparison
from plots import style


def draw_differences(ax: Axes, comparison: Comparison, cell: Cell) -> Axes:
    """Draws each seed's difference as a dot, then their mean and interval."""
    by_seed = comparison.seed_differences[cell]
    effect = comparison.judgements[cell].effect
    color = style.color(comparison.treatment)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.scatter(range(len(by_seed)), list(by_seed.values()), color=color)
    labels = [f"seed {seed}" for seed in by_seed]
    if effect.has_interval:
        ax.errorbar(
            len(by_seed),
            effect.mean,
            yerr=effect.half_width,
            color="black",
            marker="D",
            capsize=5,
        )
        labels.append("mean,\n95% interval")
    ax.set_xticks(range(len(labels)), labels)
    ax.set_xlim(-0.5, len(labels) - 0.5)
    ax.margins(y=0.15)  # Room for the sides' names.
    ax.set_ylabel(f"{comparison} (percentage points)")
    for height, align, setting, arrow in (
        (0.98, "top", comparison.treatment, "↑"),
        (0.02, "bottom", comparison.control, "↓"),
    ):
        ax.text(
            0.02,
            height,
            f"{arrow} {setting} better",
            transform=ax.transAxes,
            va=align,
            color=style.color(setting),
        )
    return style.decorate(ax)
