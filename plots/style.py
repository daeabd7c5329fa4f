"""What all figures have in common."""

from __future__ import annotations

import pathlib

import matplotlib
import numpy as np

matplotlib.use("Agg")  # Figures go to files; a screen may not be there.

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from normtest_tf.system import files

matplotlib.rcParams["svg.hashsalt"] = "normtest_tf"

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


def new_grid(
    rows: int, columns: int, width: float, height: float
) -> tuple[Figure, np.ndarray]:
    """Returns a figure and its axes `[rows, columns]`; inches are a panel's."""
    return plt.subplots(
        rows,
        columns,
        figsize=(columns * width, rows * height),
        layout="constrained",
        squeeze=False,
    )


def save(figure: Figure, *paths: pathlib.Path) -> None:
    """Writes a figure to files, in the formats of their suffixes, and closes it.

    The same figure gives the same bytes, so that a repeated report is no change.
    """
    for path in paths:
        dated = {"Date": None} if path.suffix == ".svg" else None
        with files.atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=150, metadata=dated)
    plt.close(figure)
