"""A diagnosis' figure: distances from the stored statistics by depth."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from normtest_tf.diagnosis import Explanation
from normtest_tf.normalization import CONTROL
from plots import style


def distances_figure(found: Explanation) -> Figure:
    """Draws distances from stored statistics, and these less the control's.

    What the control has is the images' part; the rest is what a setting adds.
    """
    figure, ((stored, extra),) = style.new_grid(1, 2, 5.5, 3.8)
    depths = range(1, len(found.layers) + 1)
    control = np.array(found.setting(CONTROL).distances)
    for setting in found.settings:
        own = np.array(setting.distances)
        for ax, values in ((stored, own), (extra, own - control)):
            ax.plot(
                depths,
                values,
                label=setting.name,
                color=style.color(setting.name),
                marker="o" if len(depths) < 30 else None,
                markersize=3,
            )
    stored.set(title="Distance from the stored statistics", ylabel="distance")
    stored.set_ylim(bottom=0)
    extra.set(title=f"The same, less {CONTROL}'s", ylabel="difference")
    for ax in (stored, extra):
        ax.set_xlabel("batch normalization, by depth")
        ax.xaxis.get_major_locator().set_params(integer=True)
        style.decorate(ax)
    figure.legend(
        handles=stored.lines,
        loc="outside lower center",
        ncols=5,
        frameon=False,
        fontsize=8.5,
    )
    return figure
