"""Compares our networks and recipe with PyTorch's and writes docs/parity.md.

    pip install torch timm torchvision
    python -m experiments.parity

Both sides get the same weights, through a file in timm's layout, and the same
images; experiments/support/parity defines what is compared, and how closely. The
program exits with status 1 if any error is larger than allowed. It takes some minutes
on a CPU.
"""

from __future__ import annotations

import importlib.metadata
import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from experiments.support import program, pytorch
from experiments.support.parity import cases, checks
from normtest_tf import errors, text
from normtest_tf.system import files, quiet

FLAGS = flags.FLAGS

flags.DEFINE_list(
    "models", None, f"Networks to compare. Default: {','.join(cases.NETWORKS)}."
)
flags.DEFINE_string("output", "docs/parity.md", "Markdown file to write.")
flags.DEFINE_bool("dry_run", False, "Print the names of the comparisons and stop.")

COLUMNS = {
    "logits": "logits",
    "loss": "loss",
    "running": "running mean and variance",
    "gradient": "gradients",
    "losses": "losses",
    "weight": "weights at the end",
    "pixels": "pixels",
}
PACKAGES = ("tensorflow", "keras", "torch", "timm", "torchvision")

Row = tuple[str, str, str, float, float]


def main(argv: Sequence[str]) -> None:
    """Runs the comparisons and writes the table."""
    del argv
    for name in FLAGS.models or ():
        if name not in cases.NETWORKS:
            raise errors.unknown_name("model", name, list(cases.NETWORKS))
    chosen = [
        check
        for check in checks.CHECKS.values()
        if not FLAGS.models or check.network in (None, *FLAGS.models)
    ]
    if FLAGS.dry_run:
        print("\n".join(check.name for check in chosen))
        return
    output = pathlib.Path(FLAGS.output)
    files.check_writable(output.parent)
    pytorch.import_module("timm")
    quiet.import_tensorflow()
    rows = [row for check in chosen for row in _compare(check)]
    files.write_text(output, _markdown(rows))
    print(f"wrote {output}")
    if any(error > allowed for *_, error, allowed in rows):
        sys.exit("error: some errors are larger than allowed; see the table")


def _compare(check: checks.Check) -> list[Row]:
    """Runs one comparison on both sides; returns its rows of the table."""
    from experiments.support.parity import ours, theirs

    print(check.name, flush=True)
    found = checks.errors(check.run(ours), check.run(theirs))
    return [
        (
            check.network or "augmentation and normalisation",
            check.title,
            COLUMNS[group],
            error,
            check.tolerances[group],
        )
        for group, error in found.items()
    ]


HEAD = """# Agreement with PyTorch

Written by `python -m experiments.parity`. Both sides get the same seeded weights,
through a file in timm's layout, and the same images. An error is the largest difference
in an array relative to the array's largest value; the table shows the worst array of
each kind. For the 20 steps, the bottlenecks of resnet50 add a quarter of what they
would to their inputs: at full strength, training from these weights is chaotic, and
PyTorch differs from itself by 60% in the loss after 12 steps if its weights are changed
by 1e-13.
"""


def _markdown(rows: Sequence[Row]) -> str:
    """Returns the document."""
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in PACKAGES)
    table = [("network", "check", "of", "largest error", "allowed")]
    for network, title, group, error, allowed in rows:
        mark = "" if error <= allowed else " **too large**"
        table.append((network, title, group, f"{error:.1e}{mark}", f"{allowed:.0e}"))
    return f"{HEAD}\nVersions: {versions}.\n\n{text.markdown_table(table)}\n"


if __name__ == "__main__":
    program.run(main)
