"""A report's figures; its tables and text are written around them."""

from __future__ import annotations

import pathlib

from matplotlib.figure import Figure

from normtest_tf.analysis.published import TREATMENT
from normtest_tf.normalization import CONTROL
from normtest_tf.report import document
from normtest_tf.report.document import Content
from plots import calibration, forest, report_figures, style


def write(content: Content, out_dir: pathlib.Path, command: str) -> str:
    """Writes a report's files, the page last; returns its answer in Markdown."""
    accuracies = report_figures.accuracy_figure(content.results)
    _save(accuracies, out_dir, document.ACCURACY_FIGURE)
    if content.comparisons:
        panels = [
            forest.Panel(comparison, content.published_for(comparison))
            for comparison in content.comparisons
        ]
        effects = report_figures.effects_figure(panels)
        _save(effects, out_dir, document.EFFECTS_FIGURE)
    else:
        _remove(out_dir, document.EFFECTS_FIGURE)
    if content.outcomes:
        comparison = f"{TREATMENT} - {CONTROL}"
        figure = calibration.calibration_figure(content.outcomes, comparison)
        _save(figure, out_dir, document.CALIBRATION_FIGURE)
    else:
        _remove(out_dir, document.CALIBRATION_FIGURE)
    return document.write(content, out_dir, command)


def _save(figure: Figure, out_dir: pathlib.Path, name: str) -> None:
    style.save(figure, out_dir / f"{name}.png", out_dir / f"{name}.svg")


def _remove(out_dir: pathlib.Path, name: str) -> None:
    """Removes an earlier report's figure, which would pass for one of these results."""
    for suffix in (".png", ".svg"):
        (out_dir / f"{name}{suffix}").unlink(missing_ok=True)
