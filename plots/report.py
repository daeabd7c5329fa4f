"""A report: tables, figures, and a text around them in Markdown and HTML."""

from __future__ import annotations

import base64
import pathlib
import re
from collections.abc import Sequence

import markdown

from normtest_tf import text as tables
from normtest_tf.analysis import comparisons
from normtest_tf.analysis.results import RULE_NAMES, Results
from normtest_tf.published.editions import ReferenceTable
from normtest_tf.report import rows as report_tables
from normtest_tf.report import sections as report_sections
from normtest_tf.system import files
from plots import study, style

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff;
       max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
img { max-width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; }
th, td { padding: 0.3rem 0.7rem; border-bottom: 1px solid #ddd; text-align: left;
         vertical-align: top; }
th { border-bottom: 2px solid #888; }
code { background: #f3f3f3; padding: 0 0.2em; }
"""


def write(
    results: Results,
    out_dir: pathlib.Path,
    *,
    rule: str,
    margin: float,
    references: Sequence[ReferenceTable],
    command: str,
) -> str:
    """Writes a report's files, `report.html` last.

    Args:
        results: The runs.
        out_dir: The folder to write to.
        rule: Which epoch the verdicts use; a key of `results.RULES`.
        margin: The smallest difference that matters, in percentage points.
        references: Published accuracies to set ours beside.
        command: What makes this report again.

    Returns:
        The answer, in a paragraph of Markdown.
    """
    compared = comparisons.comparisons(results, rule=rule, margin=margin)
    accuracy_rows = report_tables.accuracies(results, rule, references)
    published_rows = report_tables.published(references, results)
    data_rows = report_tables.data_sets(results)
    table1 = report_sections.table1(accuracy_rows, rule)
    _write_rows(out_dir / "table1.csv", accuracy_rows)
    files.write_text(out_dir / "table1.md", f"{table1}\n")
    _write_rows(out_dir / "data_sets.csv", data_rows)
    figure = study.accuracy_by_epoch(results)
    style.save(figure, out_dir / "figure1.png", out_dir / "figure1.svg")
    if compared:
        _write_rows(out_dir / "effects.csv", report_tables.differences(compared))
        ours = set(results.cells)
        published = {
            (row["dataset"], row["model"]): row["difference"]
            for row in reversed(published_rows)
            if (row["dataset"], row["model"]) in ours
        }
        figure = study.effects(compared, published)
        style.save(figure, out_dir / "effects.png", out_dir / "effects.svg")
    answer = _answer(compared)
    sections = [
        "# Which statistics should normalise the inputs?",
        answer,
        *_differences(compared, rule),
        *_accuracies(table1, accuracy_rows, rule),
        *_data_sets(data_rows),
        *_published(published_rows, references),
        "## Is it complete?",
        report_sections.missing(results),
        "## How it was run",
        report_sections.how(results),
        f"```bash\n{command}\n```",
    ]
    text = "\n\n".join(sections) + "\n"
    files.write_text(out_dir / "report.md", text)
    files.write_text(out_dir / "report.html", to_html(text, out_dir))
    return answer


def _write_rows(path: pathlib.Path, rows: Sequence[report_tables.Row]) -> None:
    files.write_text(path, tables.csv_text(rows))


def _answer(compared: Sequence[comparisons.Comparison]) -> str:
    """Returns the first paragraph."""
    if compared:
        return report_sections.answer(compared[0])
    return (
        "Nothing can be compared: no data set and model has runs of `pretrain` and of "
        "another setting with the same seed."
    )


def _differences(compared: Sequence[comparisons.Comparison], rule: str) -> list[str]:
    """Returns the section on paired differences; none where nothing is compared."""
    if not compared:
        return []
    parts = [
        f"Verdicts use the {RULE_NAMES[rule]}. Runs of one seed are a pair: they share "
        "the head's initial weights, the order of examples and every augmentation. "
        "Differences are paired, with t intervals; a cell's verdict allows for the "
        "number of cells (Holm).",
        "## Differences between settings",
        "![Paired differences](effects.png)",
        "*Dots are seeds, circles their mean with its 95% interval, diamonds the mean "
        "over cells; crosses are published single runs; grey is the margin of "
        f"{compared[0].margin:g} points.*",
    ]
    for comparison in compared:
        parts.append(f"### {comparison.treatment} - {comparison.control}")
        if comparison is not compared[0]:
            parts.append(report_sections.answer(comparison))
        parts.append(report_sections.verdict_table(comparison))
    return parts


def _accuracies(table1: str, rows: Sequence[report_tables.Row], rule: str) -> list[str]:
    """Returns the sections with table 1, the rules and figure 1."""
    return [
        "## Table 1: test accuracy in percent",
        table1,
        f"Mean over seeds of the {RULE_NAMES[rule]} ± half the 95% t interval; bold is "
        "the best setting of a data set and model, which need not differ from the "
        "next. Published accuracies are of the best test epoch, so the mean of our "
        "best test epochs is what they are compared with; see the recipes below "
        "before reading more than orientation into that.",
        "### By rule of choosing the epoch",
        report_sections.rules_table(rows),
        "The best epoch on the test images is the published rule; it looks at the "
        "answer, and is too high.",
        "## Figure 1: test accuracy by epoch",
        "![Test accuracy by epoch](figure1.png)",
        "*A line is the mean over seeds, a band the least and the most.*",
    ]


def _data_sets(rows: Sequence[report_tables.Row]) -> list[str]:
    """Returns the section on data sets."""
    return [
        "## Data sets, and what the networks see of them",
        report_sections.data_table(rows),
        "Mean and standard deviation of the training images' channels (red, green, "
        "blue; pooled over pixels) after the normalization.",
    ]


def _published(
    rows: Sequence[report_tables.Row], references: Sequence[ReferenceTable]
) -> list[str]:
    """Returns the section on published differences; none where there are none."""
    if not rows:
        return []
    sources = [f"- {table.title}: {table.description}." for table in references]
    return [
        "## What the published single runs show",
        report_sections.published_table(rows),
        "Differences finetune - pretrain in points, by the best test epoch.",
        "\n".join(sources),
    ]


def to_html(text: str, folder: pathlib.Path) -> str:
    """Turns a report into one self-contained page.

    Args:
        text: Markdown. Its images are named like files in `folder`; where there is
            an SVG of the same name, that is taken.
        folder: Where the images lie.

    Returns:
        HTML that refers to no other file.
    """
    body = markdown.markdown(text, extensions=["tables", "fenced_code"])
    body = re.sub(
        r'src="([\w.-]+)\.png"',
        lambda match: f'src="{_data_uri(folder / f"{match[1]}.svg")}"',
        body,
    )
    body = body.replace("<table>", '<div class="scroll"><table>')
    body = body.replace("</table>", "</table></div>")
    title = text.partition("\n")[0].removeprefix("# ")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _data_uri(path: pathlib.Path) -> str:
    encoded = base64.b64encode(path.read_bytes()).decode("ascii")
    return f"data:image/svg+xml;base64,{encoded}"
