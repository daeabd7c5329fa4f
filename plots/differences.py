"""Paired differences between two settings, with their confidence interval."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes

from normtest_tf.analysis.effects import Estimate
from plots import style


def paired_differences(ax: Axes, points: Mapping[int, float], effect: Estimate) -> Axes:
    """Draws each seed's difference as a point, their mean and interval as a bar.

    Args:
        ax: Where to draw.
        points: Each seed's difference in percentage points.
        effect: Of the same differences, in the same units.

    Returns:
        `ax`.
    """
    positions = range(len(points))
    ax.axhline(0, color="black", linewidth=0.8)
    ax.scatter(positions, list(points.values()), color=style.COLORS["finetune"])
    right = len(points)
    if effect.n > 1:
        ax.errorbar(
            right,
            effect.mean,
            yerr=[[effect.mean - effect.low], [effect.high - effect.mean]],
            color="black",
            marker="D",
            capsize=5,
        )
    labels = [f"seed {seed}" for seed in points]
    if effect.n > 1:
        labels.append(f"mean,\n{effect.confidence:.0%} interval")
    ax.set_xticks(range(len(labels)), labels)
    ax.set_xlim(-0.5, len(labels) - 0.5)
    ax.set_ylabel("finetune - pretrain (percentage points)")
    return style.decorate(ax)
