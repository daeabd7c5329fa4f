"""What all figures share: colours, axes and files."""

from __future__ import annotations

import pathlib

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from normtest_tf.normalization import SETTINGS
from normtest_tf.system import files

matplotlib.rcdefaults()  # Whatever the user's matplotlibrc: equal figures, equal bytes.
matplotlib.rcParams["svg.hashsalt"] = "normtest_tf"
matplotlib.rcParams["pdf.fonttype"] = 42  # Conferences refuse Type 3 fonts.

# Okabe and Ito's palette, which colour-blind readers can tell apart, without yellow,
# which is pale as text; then darker ones. Black is left for what is of no setting.
PALETTE = (
    "#0072B2",  # Blue.
    "#D55E00",  # Vermilion.
    "#009E73",  # Bluish green.
    "#CC79A7",  # Reddish purple.
    "#E69F00",  # Orange.
    "#56B4E9",  # Sky blue.
    "#882255",  # Wine.
    "#7F7F7F",  # Grey.
    "#8A7A00",  # Olive.
    "#332288",  # Indigo.
    "#6B4226",  # Brown.
    "#44AA99",  # Teal.
)
GREY = "#595959"
DPI = 200


def color(setting: str) -> str:
    """Returns a setting's colour: the palette's, in the order of the registry."""
    return PALETTE[list(SETTINGS).index(setting) % len(PALETTE)]


def decorate(ax: Axes) -> Axes:
    """Removes the top and right spines and adds a faint grid."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", alpha=0.25)
    return ax


def new_grid(
    rows: int, columns: int, width: float, height: float
) -> tuple[Figure, np.ndarray]:
    """Returns a figure and its axes `[rows, columns]`."""
    return plt.subplots(
        rows,
        columns,
        figsize=(columns * width, rows * height),
        layout="constrained",
        squeeze=False,
    )


def save(figure: Figure, *paths: pathlib.Path) -> None:
    """Writes a figure to files, in the formats of their suffixes, and closes it.

    The same figure gives the same bytes, so regenerating a report changes nothing.
    """
    for path in paths:
        dated = {".svg": "Date", ".pdf": "CreationDate"}.get(path.suffix)
        with files.atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=DPI, metadata=dated and {dated: None})
            if path.suffix == ".png":  # A palette needs a third of the bytes.
                with Image.open(temporary) as image:
                    image.convert("RGB").quantize(256).save(temporary, optimize=True)
    plt.close(figure)
