"""The figure of docs/diagnosis.md: what training a head gave, against two predictors.

python -m plots.probe
"""

from __future__ import annotations

import csv
import pathlib
from typing import NamedTuple

from matplotlib.axes import Axes

from normtest_tf.analysis import Cell, policies, results
from normtest_tf.normalization import CONTROL, TREATMENT
from normtest_tf.normalization.statistics import FAR
from normtest_tf.runs import RunName
from plots import answer, style

STUDIES = [pathlib.Path("plots/studies") / name for name in ("real", "group_norm")]
FIGURE = pathlib.Path("plots/figures/probe.png")
NETWORKS = {
    **answer.NETWORKS,
    "cifar_resnet8": "small ResNet",
    "cifar_resnet8_gn": "the same, group norm",
}
LIMIT = 15.0  # Points, of the probe's axis.
SEED = 1  # Of the runs whose statistics give the pixel distance.


class Head(NamedTuple):
    """A frozen backbone on a data set: `TREATMENT` minus `CONTROL`, in points."""

    model: str
    probe: float
    probe_error: float  # Its standard error.
    measured: float
    half_width: float  # Of the 95% interval over seeds.
    distance: float  # Of the images' pixels from those of pre-training.


def read(study: pathlib.Path) -> list[Head]:
    """Returns the heads of a study whose probes are known."""
    with (study / "probes.csv").open(encoding="utf-8") as file:
        probes = {
            Cell(row["dataset"], row["model"]): row for row in csv.DictReader(file)
        }
    with (study / "effects.csv").open(encoding="utf-8") as file:
        measured = {
            cell: (float(row["mean"]), float(row["t_high"]) - float(row["mean"]))
            for row in csv.DictReader(file)
            if (cell := Cell(row["dataset"], row["model"])) in probes
            and cell.model.endswith("+head")
            and (row["treatment"], row["control"]) == (TREATMENT, CONTROL)
        }
    settings = (TREATMENT, CONTROL)
    names = [RunName(*cell, setting, SEED) for cell in measured for setting in settings]
    runs = results.read(study / "runs.zip", names)
    found = []
    for cell, (mean, half_width) in measured.items():
        probe = float(probes[cell]["points"]), float(probes[cell]["standard_error"])
        distance = policies.distance(runs, cell)
        model = cell.model.removesuffix("+head")
        found.append(Head(model, *probe, mean, half_width, distance))
    return found


def draw(ax: Axes, heads: list[Head], predictor: str, error: str | None = None) -> None:
    """Draws the measured differences against a predictor, network by network."""
    ax.axhline(0, color="black", linewidth=0.8)
    for (model, label), color in zip(NETWORKS.items(), style.PALETTE, strict=False):
        own = [head for head in heads if head.model == model]
        ax.errorbar(
            [getattr(head, predictor) for head in own],
            [head.measured for head in own],
            xerr=[getattr(head, error) for head in own] if error else None,
            yerr=[head.half_width for head in own],
            color=color,
            fmt="o",
            label=label,
            elinewidth=0.8,
        )
    style.decorate(ax)


def main() -> None:
    """Writes the figure from the studies' tables and runs."""
    heads = [head for study in STUDIES for head in read(study)]
    figure, ((left, right),) = style.new_grid(1, 2, 4.8, 4.2)
    draw(left, heads, "probe", "probe_error")
    left.axvline(0, color="black", linewidth=0.8)
    left.plot([-LIMIT, LIMIT], [-LIMIT, LIMIT], color=style.GREY, linestyle=":")
    left.set_xlim(-LIMIT, LIMIT)
    left.set_ylim(-10, 12)
    left.set_xlabel("by the linear probe (± its error)")
    left.set_ylabel(f"{TREATMENT} - {CONTROL}, head trained (± 95%)")
    draw(right, heads, "distance")
    right.axvline(FAR, color=style.GREY, linestyle=":")
    right.sharey(left)
    right.set_xlim(0, None)
    right.set_xlabel("pixel distance")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    style.save(figure, FIGURE)


if __name__ == "__main__":
    main()
