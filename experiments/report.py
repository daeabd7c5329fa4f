r"""Reports what a results folder shows: how much, and how surely.

    python -m experiments.report --results_dir=results --out_dir=report

writes tables (table1.md, table1.csv, effects.csv, data_sets.csv), figures
(figure1.png, effects.png, and as .svg) and the text around them (report.md, and
report.html in one file). Published accuracies stand beside ours.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from absl import flags

from experiments.support import program
from normtest_tf.analysis import results
from normtest_tf.published import editions
from normtest_tf.system import files

FLAGS = flags.FLAGS

flags.DEFINE_string("results_dir", "results", "Folder with the results of runs.")
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
    list(results.RULES),
    "Which epoch's test accuracy the verdicts use: the final one; the best one on the "
    "test images, as the published numbers; or the one selected on validation images.",
)
flags.DEFINE_list(
    "compare_with",
    list(editions.EDITIONS),
    "Accuracies to set ours beside, the first that has a cell counting: editions of "
    f"the published tables ({', '.join(editions.EDITIONS)}), the PyTorch study's "
    "saved_model folder, or another results folder. Empty for none.",
)


def main(argv: Sequence[str]) -> None:
    """Writes the report and says what it says."""
    del argv
    out_dir = files.expand(FLAGS.out_dir)
    files.check_writable(out_dir)
    found = results.read(files.expand(FLAGS.results_dir))
    results.check_rule(found, FLAGS.rule)
    references = [editions.load(name) for name in FLAGS.compare_with if name]
    from plots import report

    answer = report.write(
        found,
        out_dir,
        rule=FLAGS.rule,
        margin=FLAGS.margin,
        references=references,
        command=_command(),
    )
    print(answer.replace("**", ""))
    if found.missing:
        print(
            f"{len(found.missing)} runs of the grid are missing; the report lists them"
        )
    print(f"\nreport:  {out_dir / 'report.html'}")
    print(f"tables:  {out_dir / 'table1.md'}, {out_dir / 'effects.csv'}")
    print(f"figures: {out_dir / 'figure1.png'}, {out_dir / 'effects.png'}")


def _command() -> str:
    """Returns the command that makes this report again."""
    given = [
        f"--{name}={shlex.quote(FLAGS[name].serialize().partition('=')[2])}"
        for name in ("results_dir", "out_dir", "margin", "rule", "compare_with")
        if name in ("results_dir", "out_dir")
        or FLAGS[name].using_default_value is False
    ]
    return " ".join(["python -m experiments.report", *given])


if __name__ == "__main__":
    program.run(main)
