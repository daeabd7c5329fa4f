"""A report's figures; its tables and text are written around them."""

from __future__ import annotations

import pathlib

from matplotlib.figure import Figure

from normtest_tf.report import document
from normtest_tf.report.document import Content
from plots import forest, report_figures, style


def write(
    content: Content, out_dir: pathlib.Path, command: str, *, pdf: bool = False
) -> str:
    """Writes a report's files, the page last; returns its answer in Markdown."""
    figures: dict[str, Figure | None] = {
        document.ACCURACY_FIGURE: report_figures.accuracy_figure(content.results),
        document.EFFECTS_FIGURE: None,
    }
    if content.comparisons:
        figures[document.EFFECTS_FIGURE] = report_figures.effects_figure(
            [forest.Panel(c, content.published_for(c)) for c in content.comparisons]
        )
    for name, each in figures.items():
        paths = [out_dir / f"{name}.{kind}" for kind in ("png", "svg", "pdf")]
        for path in paths:  # An earlier report's would pass for one of these results.
            path.unlink(missing_ok=True)
        if each:
            style.save(each, *paths[: 3 if pdf else 2])
    return document.write(content, out_dir, command)
