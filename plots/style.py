"""What all figures have in common."""

from __future__ import annotations

import pathlib

import matplotlib

matplotlib.use("Agg")  # Figures go to files; a screen may not be there.

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from normtest_tf import files

# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLORS = {
    "finetune": "#0072B2",
    "pretrain": "#D55E00",
    "instance": "#009E73",
    "minmax": "#CC79A7",
}


def decorate(ax: Axes) -> Axes:
    """Removes the frame's upper right and adds a faint grid."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", alpha=0.25)
    return ax


def new_figure(columns: int, width: float = 10, height: float = 4) -> Figure:
    """Returns a figure with a row of axes; sizes are in inches."""
    figure, _ = plt.subplots(
        1, columns, figsize=(width, height), layout="constrained", squeeze=False
    )
    return figure


def save(figure: Figure, path: pathlib.Path) -> None:
    """Writes a figure to `path`, in the format of its suffix, and closes it."""
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
    plt.close(figure)
