"""Figures of a calibration: effects against mismatch, and against predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from normtest_tf.analysis.calibration import Outcome
from plots import style

_MARKERS = "osD^vP"


def calibration_figure(outcomes: Sequence[Outcome], comparison: str) -> Figure:
    """Returns measured effects against displacement, and against predictions."""
    figure, ((left, right),) = style.new_grid(1, 2, 4.6, 3.9)
    names = list(dict.fromkeys(outcome.training for outcome in outcomes))
    for number, name in enumerate(names):
        members = [outcome for outcome in outcomes if outcome.training == name]
        look = {
            "color": style.PALETTE[number % len(style.PALETTE)],
            "marker": _MARKERS[number % len(_MARKERS)],
        }
        effects = [outcome.effect.mean for outcome in members]
        for ax, values in (
            (left, [outcome.displacement for outcome in members]),
            (right, [outcome.points for outcome in members]),
        ):
            ax.errorbar(
                values,
                effects,
                yerr=np.nan_to_num([o.effect.half_width for o in members]),
                linestyle="",
                elinewidth=0.8,
                markersize=5.5,
                label=name,
                alpha=0.85,
                **look,
            )
    left.set_xlabel("displacement of the features, of their spread")
    left.set_ylabel("measured effect (percentage points)")
    right.set_xlabel("predicted effect (percentage points)")
    # Where a prediction would be exact.
    ends = [value for o in outcomes for value in (o.points, o.effect.mean)]
    line = [min(ends), max(ends)]
    right.plot(line, line, color=style.GREY, linewidth=0.8, linestyle=":")
    for ax in (left, right):
        style.decorate(ax)
        ax.axhline(0, color="black", linewidth=0.8)
    left.set_title(f"{comparison} against mismatch", loc="left", fontsize=11)
    right.set_title("against prediction", loc="left", fontsize=11)
    figure.legend(
        *left.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=len(names),
        frameon=False,
    )
    return figure
