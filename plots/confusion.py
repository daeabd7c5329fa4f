"""A confusion matrix: which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colors
from matplotlib.figure import Figure

from plots import style

MAX_WRITTEN = 20  # Classes of which each share is written.
MAX_NAMED = 60  # Classes of which each is named; of more, some are numbered.
MAX_LETTERS = 24


def confusion_figure(names: Sequence[str], counts: np.ndarray) -> Figure:
    """Draws each true class's predictions as shares; a class without images is grey."""
    number = len(names)
    side = min(3.2 + 0.42 * number, 11)
    figure, ((ax,),) = style.new_grid(1, 1, side + 1, side)
    images = counts.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        shares = counts / images
    ax.set_facecolor("#d0d0d0")
    # The root makes rare confusions visible.
    drawn = ax.imshow(shares, cmap="Blues", norm=colors.PowerNorm(0.5, 0, 1))
    bar = figure.colorbar(drawn, ax=ax, shrink=0.8, label="share of the true class")
    bar.set_ticks([0, 0.05, 0.2, 0.5, 1], labels=["0%", "5%", "20%", "50%", "100%"])
    ax.set(xlabel="predicted", ylabel="true")
    if number <= MAX_NAMED:
        labels = [
            name if len(name) <= MAX_LETTERS else f"{name[: MAX_LETTERS - 1]}…"
            for name in names
        ]
        size = 9 if number <= MAX_WRITTEN else 7
        options = {"fontsize": size, "parse_math": False}
        ax.set_xticks(range(number), labels, rotation=90, **options)
        ax.set_yticks(range(number), labels, **options)
    else:
        ax.set(xlabel="predicted class, by number", ylabel="true class, by number")
    if number <= MAX_WRITTEN:
        for (row, column), share in np.ndenumerate(shares):
            if counts[row, column]:
                ax.text(
                    column,
                    row,
                    f"{100 * share:.0f}" if share >= 0.005 else "<1",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if share > 0.4 else "black",
                )
    return figure
