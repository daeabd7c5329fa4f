"""The quickstart's table and figure."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np

from normtest_tf import runs, text
from normtest_tf.analysis import effects
from plots import curves, differences, style

# Per setting and seed, the test accuracy after each epoch.
Cells = dict[str, dict[int, list[float]]]


def read_cells(configs: Sequence[runs.RunConfig]) -> Cells:
    """Reads the histories of finished runs.

    Args:
        configs: The runs, of one data set and model.

    Returns:
        Test accuracies, 0 to 1, by setting, seed and epoch.

    Raises:
        UsageError: If a history can't be read.
    """
    cells: Cells = {}
    for config in configs:
        history = runs.read_history(config.folder)
        accuracies = [row["test_accuracy"] for row in history]
        cells.setdefault(config.normalization, {})[config.seed] = accuracies
    return cells


def _points(cells: Cells) -> dict[int, float]:
    """Returns each seed's `finetune - pretrain` after the final epoch, in points."""
    return {
        seed: 100 * (cells["finetune"][seed][-1] - cells["pretrain"][seed][-1])
        for seed in cells["finetune"]
    }


def _effect(cells: Cells) -> effects.Estimate:
    return effects.estimate_mean(list(_points(cells).values()))


def summary(cells: Cells) -> str:
    """Returns a table of final test accuracies and a sentence on their difference."""
    rows = [("seed", "pretrain", "finetune", "finetune - pretrain")]
    rows += [
        (
            str(seed),
            f"{cells['pretrain'][seed][-1]:.2%}",
            f"{cells['finetune'][seed][-1]:.2%}",
            f"{point:+.2f} points",
        )
        for seed, point in _points(cells).items()
    ]
    return f"{text.text_table(rows)}\n\n{verdict(_effect(cells))}"


def verdict(effect: effects.Estimate) -> str:
    """Says in words what the differences show.

    Args:
        effect: Of `finetune - pretrain`, in percentage points.
    """
    if effect.n == 1:
        return "One pair of runs can't tell a difference from chance; add --seeds."
    interval = (
        f"{effect.mean:+.2f} points, {effect.confidence:.0%} interval "
        f"{effect.low:+.2f} to {effect.high:+.2f}, n = {effect.n} pairs"
    )
    if not effect.is_decided:
        return f"finetune - pretrain: {interval}. Undecided: the interval includes 0."
    better, worse = ("finetune", "pretrain")[:: 1 if effect.mean > 0 else -1]
    return f"finetune - pretrain: {interval}. Here {better} beats {worse}."


def write_figure(cells: Cells, path: pathlib.Path) -> None:
    """Writes curves and paired differences side by side.

    Args:
        cells: From `read_cells`.
        path: The image to write.
    """
    figure, ((left, right),) = style.new_grid(1, 2, width=5, height=4)
    curves.accuracy_curves(
        left,
        {setting: np.array(list(runs_.values())) for setting, runs_ in cells.items()},
    )
    differences.paired_differences(right, _points(cells), _effect(cells))
    epochs = len(next(iter(cells["finetune"].values())))
    left.set_title("cifar_resnet8 fine-tuned on digits", loc="left")
    right.set_title(f"after {epochs} epochs, pair by pair", loc="left")
    style.save(figure, path)
