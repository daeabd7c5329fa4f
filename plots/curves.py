"""Test accuracy by epoch, one line per setting, with the spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from plots import style


def draw_curves(ax: Axes, accuracies: Mapping[str, np.ndarray]) -> Axes:
    """Draws each setting's mean over seeds, and a band from minimum to maximum.

    Accuracies are float `[seeds, epochs]`, from 0 to 1.
    """
    for setting, values in accuracies.items():
        percent = 100 * np.asarray(values)
        epochs = np.arange(1, percent.shape[1] + 1)
        color = style.color(setting)
        ax.plot(epochs, percent.mean(axis=0), color=color, label=setting, marker=".")
        ax.fill_between(
            epochs,
            percent.min(axis=0),
            percent.max(axis=0),
            color=color,
            alpha=0.15,
            linewidth=0,
        )
    ax.set_xlabel("epoch")
    ax.set_ylabel("test accuracy (%)")
    if len(ax.lines) and len(ax.lines[0].get_xdata()) == 1:
        ax.set_xticks([1])  # Otherwise its ticks are fractions of an epoch.
    else:
        ax.xaxis.get_major_locator().set_params(integer=True)
    return style.decorate(ax)
