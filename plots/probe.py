"""The figure of docs/diagnosis.md: linear probes against what training a head gave.

python -m plots.probe
"""

from __future__ import annotations

import csv
import pathlib
from typing import NamedTuple

from normtest_tf.normalization import CONTROL, TREATMENT
from plots import answer, style

STUDIES = [pathlib.Path("plots/studies") / name for name in ("real", "group_norm")]
FIGURE = pathlib.Path("plots/figures/probe.png")
NETWORKS = {
    **answer.NETWORKS,
    "cifar_resnet8": "small ResNet",
    "cifar_resnet8_gn": "the same, group norm",
}
LIMIT = 15.0  # Points, of both axes.


class Head(NamedTuple):
    """A frozen backbone on a data set: `TREATMENT` minus `CONTROL`, in points."""

    model: str
    probe: float
    probe_error: float  # Its standard error.
    measured: float
    half_width: float  # Of the 95% interval over seeds.


def read(study: pathlib.Path) -> list[Head]:
    """Returns the heads of a study whose probes are known."""
    with (study / "probes.csv").open(encoding="utf-8") as file:
        probes = {(row["dataset"], row["model"]): row for row in csv.DictReader(file)}
    found = []
    with (study / "effects.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            probe = probes.get((row["dataset"], row["model"]))
            is_asked = (row["treatment"], row["control"]) == (TREATMENT, CONTROL)
            if probe and is_asked and row["model"].endswith("+head"):
                model = row["model"].removesuffix("+head")
                mean = float(row["mean"])
                numbers = float(probe["points"]), float(probe["standard_error"])
                found.append(Head(model, *numbers, mean, float(row["t_high"]) - mean))
    return found


def main() -> None:
    """Writes the figure from the studies' tables."""
    heads = [head for study in STUDIES for head in read(study)]
    figure, ((ax,),) = style.new_grid(1, 1, 5.6, 4.4)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.plot([-LIMIT, LIMIT], [-LIMIT, LIMIT], color=style.GREY, linestyle=":")
    for (model, label), color in zip(NETWORKS.items(), style.PALETTE, strict=False):
        _, *values = zip(*(head for head in heads if head.model == model), strict=True)
        probe, error, measured, half_width = values
        style_of = {"color": color, "fmt": "o", "label": label, "elinewidth": 0.8}
        ax.errorbar(probe, measured, yerr=half_width, xerr=error, **style_of)
    ax.set_xlim(-LIMIT, LIMIT)
    ax.set_ylim(-10, 12)
    ax.set_xlabel(f"{TREATMENT} - {CONTROL} by the linear probe (± its error)")
    ax.set_ylabel("by training the head (± 95%)")
    style.decorate(ax).legend(frameon=False, fontsize=8, loc="lower right")
    style.save(figure, FIGURE)


if __name__ == "__main__":
    main()
