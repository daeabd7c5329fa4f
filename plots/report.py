"""A report's figures; its tables and text are written around them."""

from __future__ import annotations

import pathlib

from matplotlib.figure import Figure

from normtest_tf.report import document
from normtest_tf.report.content import Content
from plots import forest, study, style


def write(content: Content, out_dir: pathlib.Path, command: str) -> str:
    """Writes a report's files, `report.html` last.

    Args:
        content: What the report states, from `normtest_tf.report.content.gather`.
        out_dir: The folder to write to.
        command: The command that makes this report again.

    Returns:
        The answer, in a paragraph of Markdown.
    """
    _save(study.accuracy_figure(content.results), out_dir, document.ACCURACY_FIGURE)
    if content.comparisons:
        panels = [
            forest.Panel(comparison, content.published_beside(comparison))
            for comparison in content.comparisons
        ]
        _save(study.effects_figure(panels), out_dir, document.EFFECTS_FIGURE)
    return document.write(content, out_dir, command)


def _save(figure: Figure, out_dir: pathlib.Path, name: str) -> None:
    style.save(figure, out_dir / f"{name}.png", out_dir / f"{name}.svg")
