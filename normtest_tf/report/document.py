"""A report composed: its tables in files of their own, and the text around them."""

from __future__ import annotations

import base64
import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence
from statistics import fmean

import markdown

from normtest_tf.analysis import Cell, Results
from normtest_tf.analysis.comparisons import Comparison, compare_all
from normtest_tf.analysis.published import PublishedTable
from normtest_tf.normalization import CONTROL, CONTROL_AGAIN, TREATMENT
from normtest_tf.report import rows, sections
from normtest_tf.report.rows import Row
from normtest_tf.runs import Rule
from normtest_tf.system import files
from normtest_tf.text import counted, csv_text, latex_table, markdown_table

TEXT = "report.md"
PAGE = "report.html"
TABLE1 = "table1.md"
TABLE1_TEX = "table1.tex"
EFFECTS_TEX = "effects.tex"
RUNS_CSV = "runs.csv"
CONSTRAINTS = "constraints.txt"
TABLE1_CSV = "table1.csv"
DATA_SETS_CSV = "data_sets.csv"
EFFECTS_CSV = "effects.csv"  # Only where there are comparisons.
POLICIES_CSV = "policies.csv"  # Only where there are cells enough.
# The figures that the text shows, each as .png and as .svg; `plots.report` draws them.
ACCURACY_FIGURE = "figure1"
EFFECTS_FIGURE = "effects"  # Only where there are comparisons.


@dataclasses.dataclass(frozen=True)
class Content:
    """What tables, figures and text of a report are made from."""

    results: Results
    rule: Rule  # How to choose the epoch that the verdicts use.
    comparisons: list[Comparison]  # Empty if there are no pairs.
    policies: list[Row]
    published: Sequence[PublishedTable]
    accuracies: list[Row]
    data_sets: list[Row]

    def published_for(self, comparison: Comparison) -> dict[Cell, float]:
        """Returns published differences of a comparison; the first of tables wins."""
        if not comparison.is_planned:
            return {}
        found: dict[Cell, float] = {}
        for cell in comparison.judgements:
            for table in reversed(self.published):
                runs = self.results.runs_of(cell)
                if rows.follows_recipe(runs, table) is not False:
                    theirs = table.differences().get(cell)
                    found |= {cell: fmean(theirs)} if theirs else {}
        return found


def gather(
    results: Results,
    *,
    rule: Rule,
    margin: float,
    published: Sequence[PublishedTable] = (),
    probes: Mapping[Cell, bool] | None = None,
) -> Content:
    """Computes everything that a report states."""
    comparisons = compare_all(results, rule=rule, margin=margin)
    return Content(
        results=results,
        rule=rule,
        comparisons=comparisons,
        policies=rows.policy_rows(results, comparisons, probes or {}),
        published=published,
        accuracies=rows.accuracy_rows(results, rule, published),
        data_sets=rows.data_set_rows(results),
    )


def write(content: Content, out_dir: pathlib.Path, command: str) -> str:
    """Writes a report's tables and text around its figures; returns the answer."""
    table1 = sections.table1(content.accuracies, content.rule)
    effects = sections.effect_lines(content.comparisons)
    tables = {
        CONSTRAINTS: sections.constraints(content.results),
        TABLE1: markdown_table(table1) + "\n",
        TABLE1_TEX: latex_table(table1) + "\n",
        EFFECTS_TEX: latex_table(effects) + "\n" if content.comparisons else "",
    }
    for name, table in (
        (RUNS_CSV, [rows.run_row(run) for run in content.results.runs]),
        (TABLE1_CSV, content.accuracies),
        (DATA_SETS_CSV, content.data_sets),
        (EFFECTS_CSV, rows.effect_rows(content.comparisons)),
        (POLICIES_CSV, content.policies),
    ):
        tables[name] = csv_text(table) if table else ""
    for name, written in tables.items():
        if written:
            files.write_text(out_dir / name, written)
        else:  # An earlier report's would pass for one of these results.
            (out_dir / name).unlink(missing_ok=True)
    text = to_markdown(content, command)
    files.write_text(out_dir / TEXT, text)
    files.write_text(out_dir / PAGE, to_html(text, out_dir))
    return answer(content)


def answer(content: Content) -> str:
    """Returns the answer to the first comparison, in a paragraph of Markdown."""
    if content.comparisons:
        return sections.answer(content.comparisons[0])
    return (
        f"There is nothing to compare: no data set and model has runs of `{CONTROL}` "
        "and of another setting with the same seed."
    )


def to_markdown(content: Content, command: str) -> str:
    """Returns the whole report, which refers to the figures in the same folder."""
    recipes = sections.recipes(content.results)
    is_one = len(set(recipes.values())) == 1
    parts = [
        "# Which statistics should normalise the inputs?",
        answer(content),
        f"Every run: {next(iter(recipes.values()))}." if is_one else "",
        *_differences(content, {} if is_one else recipes),
        *_policies(content),
        "## Table 1: test accuracy in percent",
        markdown_table(sections.table1(content.accuracies, content.rule)),
        f"Mean over seeds at the {content.rule.title} ± half the width of its 95% t "
        "interval. The test set's error is the standard error due to the finite number "
        "of test images; more seeds don't reduce it. Bold is the highest mean of a "
        "data set and model where its lead over the next is larger than that error.",
        "### By rule for choosing the epoch",
        sections.rules_table(content.accuracies),
        "The best epoch on the test images is the published rule; choosing on the "
        "test set biases it upwards.",
        *_neighbours(content),
        "## Figure 1: test accuracy by epoch",
        f"![Test accuracy by epoch]({ACCURACY_FIGURE}.png)",
        "*Lines: mean over seeds; bands: minimum to maximum.*",
        "## Data sets and their statistics after normalization",
        sections.data_table(content.data_sets),
        "Mean and standard deviation of the training images' channels (red, green, "
        "blue) after normalization, pooled over pixels; a dash where a setting has no "
        "constants or no run measured the images. Each setting maps a pixel x in "
        "[0, 1] to:",
        sections.settings_list(content.data_sets, content.results),
        "## Completeness",
        sections.missing(content.results),
        "## Recipe, hardware and versions",
        sections.how(content.results),
        "The command that made this report:",
        f"```bash\n{command}\n```",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _differences(content: Content, recipes: dict[Cell, str]) -> list[str]:
    """Returns the section on paired differences; none where nothing is compared."""
    if not content.comparisons:
        return []
    is_planned = content.comparisons[0].is_planned
    which = (
        "the first is the planned one, others explore" if is_planned else "all explore"
    )
    parts = [
        f"Verdicts use the {content.rule.title}. Two runs with the same seed form a "
        "pair: they share the head's initial weights, the order of examples and all "
        "augmentation. Intervals are t intervals of the paired differences; verdicts "
        "are corrected (Holm) for the number of cells that are trained alike, "
        f"comparison by comparison: {which}."
    ]
    if any(comparison.noise for comparison in content.comparisons):
        parts.append(
            f"`{CONTROL_AGAIN}` is `{CONTROL}` with inputs multiplied by 1 + 1e-5: "
            "what pairs of the two differ by is what chaos alone does. Where both were "
            "run with the same seeds, the control that other settings are compared "
            "with is the mean of the two. Verdicts give "
            "the 95% range of a mean of as many pairs of equal settings; in the figure "
            "it is the hatched bar. Where the two never differ, the factor was rounded "
            "away, and there is none."
        )
    if any(comparison.by_image for comparison in content.comparisons):
        parts.append(
            "Other test images would change a difference, too, and seeds don't show by "
            "how much, since all share these. The interval over images and seeds takes "
            "both as samples; that of a single pair is over images alone, with "
            "McNemar's exact test of the images that only one of the two gets right."
        )
    parts += [
        "## Differences between settings",
        f"![Paired differences]({EFFECTS_FIGURE}.png)",
        "*Paired differences in test accuracy. Panels share a scale unless marked; "
        "intervals of two pairs may be cut off.*",
    ]
    for comparison in content.comparisons:
        parts.append(f"### {comparison}")
        if comparison is not content.comparisons[0]:
            parts.append(sections.answer(comparison))
        parts.append(sections.verdict_table(comparison, recipes))
    return parts


def _policies(content: Content) -> list[str]:
    """Returns the section on what policies lost; none for a few cells."""
    if not content.policies:
        return []
    return [
        "## What a policy would have lost",
        sections.policy_table(content.policies),
        "Points lost to the better setting of each cell, the best in hindsight, on "
        "average over these cells and, in brackets, in the worst. Part of it is "
        "chance: where two settings are equal, one of them still comes out ahead. The "
        "pixel distance is how far the images' channel means and standard deviations "
        "are from those of pre-training (docs/diagnosis.md). Head: the backbone is "
        "frozen; moving: other weights train, too; unshifted: images as they are.",
    ]


def _neighbours(content: Content) -> list[str]:
    """Returns the section on other accuracies of the same data sets and networks."""
    parts = []
    for table in content.published:
        if beside := sections.neighbours_table(content.results, table):
            pairs = sections.differences_table(content.results, table)
            title = f"### Beside {table.title}"
            above = f"{TREATMENT} - {CONTROL} at the best test epochs, in points:"
            parts += [title, f"{table.description}.", beside, pairs and above, pairs]
    others = [row for row in content.accuracies if row["same_recipe"] is False]
    if others:
        parts.append(
            f"Published accuracies of {counted(len(others), 'condition')} of these are "
            "not shown beside ours, because the recipe is another: epochs, numbers "
            "of images, image size, batch size, learning rate or augmentation."
        )
    if len(parts) > 1:
        parts.append(
            "Means in percent, at the best epoch on the test images, as the PyTorch "
            "study chooses. A network that is not in a table is compared with those of "
            "its family. Weights and sizes may differ: see the recipes below."
        )
    return parts


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


def to_html(text: str, folder: pathlib.Path) -> str:
    """Turns a report into one page, with the SVG figures beside the PNG in `folder`."""

    def image(match: re.Match[str]) -> str:
        svg = base64.b64encode((folder / f"{match[1]}.svg").read_bytes())
        return f'src="data:image/svg+xml;base64,{svg.decode("ascii")}"'

    body = markdown.markdown(text, extensions=["tables", "fenced_code"])
    body = re.sub(r'src="([\w.-]+)\.png"', image, body)
    body = body.replace("<table>", '<div class="scroll"><table>')
    body = body.replace("</table>", "</table></div>")
    title = text.partition("\n")[0].removeprefix("# ")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )
