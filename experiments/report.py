r"""Reports how large the differences in a results folder are, and how certain.

    python -m experiments.report --results_dir=results --out_dir=report

This writes tables (table1.md, table1.csv, effects.csv, data_sets.csv, and runs.csv with
a row for each run; table1.tex and effects.tex), figures (figure1.png, effects.png, as
.svg and, with --pdf, as .pdf) and a report (report.md, and report.html, which is
self-contained). Published accuracies are shown next to ours. A results folder is packed
into one file, which is read in its place, with

    python -m experiments.report --results_dir=results --pack=runs.zip
"""

from __future__ import annotations

import pathlib
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from experiments.support import program
from normtest_tf import text
from normtest_tf.analysis import policies, published, results
from normtest_tf.runs import RULES
from normtest_tf.system import files

if TYPE_CHECKING:
    from normtest_tf.report.document import Content

FLAGS = flags.FLAGS


flags.DEFINE_string(
    "results_dir", "results", "Folder with the runs' results, or a zip of it."
)
flags.DEFINE_string("out_dir", "report", "Folder for the report.")
flags.DEFINE_float(
    "margin", 0.5, "The smallest difference that matters, in percentage points."
)
flags.register_validator(
    "margin", lambda margin: 0 < margin <= 100, message="must be above 0, at most 100"
)
flags.DEFINE_enum(
    "rule",
    "final",
    list(RULES),
    "The epoch whose test accuracy the verdicts use. "
    + "; ".join(f"{rule.name}: {rule.title}" for rule in RULES.values())
    + ". The PyTorch study used best_test.",
)
flags.DEFINE_list(
    "compare_with",
    list(published.EDITIONS),
    "Accuracies to compare with; if several cover a condition, the first wins. "
    f"Editions of the published tables ({', '.join(published.EDITIONS)}), the PyTorch "
    "study's saved_model folder, or another results folder. Empty for none.",
)
flags.DEFINE_bool("pdf", False, "Write the figures as PDF, too, for papers.")
flags.DEFINE_string(
    "probes",
    None,
    "Table of linear probes, to say what following them would have lost: the "
    "probes.csv of experiments.explain, or several joined.",
)
flags.DEFINE_string(
    "pack",
    None,
    "The .zip to write instead of a report, with what a report reads of --results_dir: "
    "no models, no checkpoints. The same runs give the same bytes.",
)
flags.register_validator(
    "pack", lambda path: path is None or path.endswith(".zip"), "must end with .zip"
)


def main(argv: Sequence[str]) -> None:
    """Writes the report and prints its answer."""
    del argv
    results_dir = files.expand(FLAGS.results_dir)
    if FLAGS.pack:
        runs, archive = len(results.read(results_dir).runs), files.expand(FLAGS.pack)
        files.check_writable(archive.parent)
        results.pack(results_dir, archive)
        print(f"{text.counted(runs, 'run')} packed: {FLAGS.pack}")
        return
    out_dir, rule = files.expand(FLAGS.out_dir), RULES[FLAGS.rule]
    files.check_writable(out_dir)
    found = results.read(results_dir)
    results.check_rule(found, rule)
    editions = [published.load(name) for name in FLAGS.compare_with if name]
    from normtest_tf.report import document
    from plots import report

    probes = policies.read_probes(files.expand(FLAGS.probes)) if FLAGS.probes else {}
    gathered = document.gather(
        found, rule=rule, margin=FLAGS.margin, published=editions, probes=probes
    )
    shown = {row["policy"] for row in gathered.policies}
    if probes and policies.PROBE not in shown:
        program.note(
            "--probes changes nothing: no kind of cells has a row for each of its "
            "cells, by the data set and model in effects.csv"
        )
    answer = report.write(gathered, out_dir, _command(), pdf=FLAGS.pdf)
    print(answer.replace("**", ""))
    if found.missing:
        print(
            f"missing from the grid: {text.counted(len(found.missing), 'run')}, "
            "which the report lists"
        )
    _list_files(gathered, out_dir)


def _list_files(gathered: Content, out_dir: pathlib.Path) -> None:
    """Prints where the report, its tables and its figures are."""
    from normtest_tf.report import document

    tables, figures = [document.TABLE1], [f"{document.ACCURACY_FIGURE}.png"]
    if gathered.comparisons:
        tables.append(document.EFFECTS_CSV)
        figures.append(f"{document.EFFECTS_FIGURE}.png")
    print(f"\nreport:  {out_dir / document.PAGE}")
    print(f"tables:  {', '.join(str(out_dir / name) for name in tables)}")
    print(f"runs:    {out_dir / document.RUNS_CSV}")
    print(f"figures: {', '.join(str(out_dir / name) for name in figures)}")


def _command() -> str:
    """Returns the command that regenerates this report."""
    given = ["python -m experiments.report"]
    for name in (
        *("results_dir", "out_dir", "margin", "rule"),
        *("compare_with", "probes", "pdf"),
    ):
        if name.endswith("_dir") or not FLAGS[name].using_default_value:
            flag, is_valued, value = FLAGS[name].serialize().partition("=")
            given.append(flag + (f"={shlex.quote(value)}" if is_valued else ""))
    return " ".join(given)


if __name__ == "__main__":
    program.run(main)
