"""Compares our networks and recipe with PyTorch's and writes docs/parity.md.

    pip install torch timm torchvision
    python -m experiments.parity

Both sides get the same weights, through a file in timm's layout, and the same images;
experiments/support/parity defines what is compared, and how closely. The program exits
with status 1 if any error is larger than allowed. It takes several minutes on a CPU.

With --backend=jax or torch, our side is Keras on that backend, and the page gets a
section about it; the rest is left as it is.
"""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import sys
import tempfile
from collections.abc import Sequence

from absl import flags

from experiments.support import flags as shared
from experiments.support import program, pytorch
from experiments.support.parity import cases, checks, epoch, page
from normtest_tf import errors
from normtest_tf.system import files, keras_setup

FLAGS = flags.FLAGS

flags.DEFINE_list(
    "models", None, f"Networks to compare. Default: {','.join(cases.NETWORKS)}."
)
flags.DEFINE_string("output", "docs/parity.md", "Markdown file to write.")
flags.DEFINE_string(
    "data_dir",
    None,
    "Folder with prepared CIFAR10, to compare a whole epoch as well. Default: the "
    "section on the epoch in --output is kept.",
)
shared.define_backend()
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
TENSORFLOW = "tensorflow"
PACKAGES = (TENSORFLOW, "keras", "torch", "timm", "torchvision")


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
    output = files.expand(FLAGS.output)
    files.check_writable(output.parent)
    old = files.read_text(output) if output.is_file() else ""
    backend = keras_setup.backend()
    if backend == TENSORFLOW and FLAGS.models and old:
        raise errors.UsageError(
            f"{output} has other networks as well; pass another --output"
        )
    if backend != TENSORFLOW and FLAGS.data_dir:
        raise errors.UsageError(
            f"the whole epoch is compared on TensorFlow alone; omit --data_dir. "
            f"Received: the backend {backend}"
        )
    # A GPU rounds products of float32 to fewer digits.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    pytorch.import_module("timm")
    keras_setup.import_tensorflow()
    new_epoch = _compare_epoch() if FLAGS.data_dir else ""
    rows = [row for check in chosen for row in _compare(check)]
    if backend == TENSORFLOW:
        new = page.page(rows, _versions(*PACKAGES), old, new_epoch)
    else:
        packages = dict.fromkeys((backend, *PACKAGES[1:]))
        new = page.with_backend(backend, rows, _versions(*packages), old)
    files.write_text(output, new)
    print(f"wrote {output}")
    if any(row.error > row.allowed for row in rows):
        sys.exit("error: some errors are larger than allowed; see the table")


def _compare_epoch() -> str:
    """Trains both sides for an epoch; returns the section about it."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "epoch.npz"
        epoch.write_batches(FLAGS.data_dir, path)
        print("an epoch: ours", flush=True)
        mine = epoch.ours(path)
        print("an epoch: PyTorch's", flush=True)
        theirs = epoch.theirs(path)
        print("an epoch: PyTorch's, perturbed", flush=True)
        perturbed = epoch.theirs(path, epoch.PERTURBATION)
    return epoch.section(mine, theirs, perturbed)


def _compare(check: checks.Check) -> list[page.Row]:
    """Runs one comparison on both sides; returns its table rows."""
    from experiments.support.parity import ours, theirs

    print(check.name, flush=True)
    found = checks.errors(check.run(ours), check.run(theirs))
    return [
        page.Row(
            check.network or "augmentation and normalisation",
            check.title,
            COLUMNS[group],
            error,
            check.tolerances[group],
        )
        for group, error in found.items()
    ]


def _versions(*packages: str) -> str:
    """Returns the versions of packages, in a line."""
    from normtest_tf.training import environment

    found = environment.describe()  # TensorFlow's package may be tensorflow-cpu.
    versions = (
        found.get(each) or importlib.metadata.version(each) for each in packages
    )
    return ", ".join(map("{} {}".format, packages, versions))


if __name__ == "__main__":
    program.run(main)
