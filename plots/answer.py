"""README's figure: what the choice was worth on real images.

python -m plots.answer
"""

from __future__ import annotations

import pathlib

from matplotlib.axes import Axes

from normtest_tf.analysis import Cell, Results, effects, results
from normtest_tf.normalization import CONTROL, TREATMENT
from normtest_tf.runs import RULES
from plots import style

STUDY = pathlib.Path("plots/studies/real/runs.zip")
FIGURE = pathlib.Path("plots/figures/answer.png")
IMAGES = {
    "folder-EuroSAT": "satellite",
    "folder-BloodCellsPBC": "blood cells",
    "folder-ChestXray": "chest X-rays",
    "folder-Omniglot": "handwriting",
}
NETWORKS = {
    "resnet18": "ResNet18",
    "densenet169": "DenseNet169",
    "keras_mobilenet_025": "MobileNet 0.25",
    "keras_mobilenetv2_035": "MobileNetV2 0.35",
}
HEAD, ALL, AGAIN = "+head", "", "+recalibrated"
TITLES = {HEAD: "Frozen backbone, head trained", ALL: "All layers trained"}


def draw(ax: Axes, found: Results, trained: str) -> None:
    """Draws a difference with its 95% interval for each set of images and network."""
    ax.axvline(0, color="black", linewidth=0.8)
    for number, (model, label) in enumerate(NETWORKS.items()):
        # The running statistics of Keras's MobileNets lag.
        way = AGAIN if trained == ALL and model.startswith("keras_") else trained
        estimates = []
        for dataset in IMAGES:
            cell = Cell(dataset, model + way)
            pairs = found.paired_differences(cell, TREATMENT, CONTROL, RULES["final"])
            size = found.runs_of(cell)[0].config.resolved.test_examples
            least = effects.grid_sd(size)
            estimates.append(effects.estimate_mean([*pairs.values()], least))
        ax.errorbar(
            [each.mean for each in estimates],
            [row + 0.16 * (number - 1.5) for row in range(len(IMAGES))],
            xerr=[each.half_width for each in estimates],
            color=style.PALETTE[number],
            fmt="o",
            capsize=3,
            label=label,
        )
    ax.set_title(TITLES[trained], loc="left", fontsize=11, fontweight="bold")
    ax.set_yticks(range(len(IMAGES)), IMAGES.values())
    ax.set_ylim(len(IMAGES) - 0.5, -0.5)
    ax.set_xlabel(f"← {CONTROL} better     points     {TREATMENT} better →")
    style.decorate(ax).grid(visible=True, axis="x", alpha=0.25)


def main() -> None:
    """Writes the figure from the study's runs."""
    found = results.read(STUDY)
    figure, (axes,) = style.new_grid(1, len(TITLES), 4.8, 3.6)
    for ax, trained in zip(axes, TITLES, strict=True):
        draw(ax, found, trained)
        ax.set_xlim(-10, 10)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    style.save(figure, FIGURE)


if __name__ == "__main__":
    main()
