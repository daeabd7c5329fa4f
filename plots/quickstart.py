"""The quickstart's figure."""

from __future__ import annotations

import pathlib

from normtest_tf.analysis import Cell, Results
from normtest_tf.analysis.comparisons import Comparison
from normtest_tf.text import counted
from plots import curves, forest, style


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
    epochs = lines[comparison.treatment].shape[1]
    forest.draw_forest(right, forest.Panel(comparison), [cell])
    after = f"points after {counted(epochs, 'epoch')}, pairs as dots"
    right.set_title(after, loc="left")
    style.save(figure, path)
