"""The quickstart's figure."""

from __future__ import annotations

import pathlib

from normtest_tf.analysis import Cell, Results
from normtest_tf.analysis.comparisons import Comparison
from plots import curves, differences, style


def write_figure(
    results: Results, comparison: Comparison, cell: Cell, path: pathlib.Path
) -> None:
    """Writes accuracy by epoch and paired differences side by side."""
    settings = (comparison.control, comparison.treatment)
    lines = {name: results.accuracy_by_epoch(cell, name) for name in settings}
    figure, ((left, right),) = style.new_grid(1, 2, width=4.5, height=3.6)
    curves.draw_curves(left, lines)
    left.legend(frameon=False, loc="lower right")
    left.set_title(f"{cell.model} fine-tuned on {cell.dataset}", loc="left")
    differences.draw_differences(right, comparison, cell)
    epochs = lines[comparison.treatment].shape[1]
    right.set_title(f"after {epochs} epochs, pair by pair", loc="left")
    style.save(figure, path)
