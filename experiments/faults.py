"""Kills runs and sweeps, corrupts files, fills disks, and counts what survives.

    python -m experiments.faults --kills=30 --sweep_kills=10

Runs of cifar_resnet8 on digits, and sweeps of them, are killed (SIGKILL) at random
moments and started again, until the requested number of kills has landed. Their
histories, weights and chosen epochs must then equal, bit by bit, those of uninterrupted
runs. Checkpoints and weights files are corrupted or truncated: a checkpoint must be
refused; a weights file must be refused in one line or, if only values of weights
changed, be read as it is. Where a small disk can be mounted, runs fill it at random
moments, and must resume once there is space. With --backend=jax, the runs are JAX's.
"""

from __future__ import annotations

import os
import pathlib
import random
import tempfile
from collections.abc import Sequence

from absl import flags

from experiments.support import flags as shared
from experiments.support import program
from normtest_tf import errors, text
from normtest_tf.system import keras_setup

FLAGS = flags.FLAGS

flags.DEFINE_integer("kills", 30, "How many times to kill a run.", lower_bound=0)
flags.DEFINE_integer(
    "sweep_kills", 10, "How many times to kill a sweep.", lower_bound=0
)
flags.DEFINE_integer(
    "checkpoints", 200, "How many checkpoints to corrupt.", lower_bound=0
)
flags.DEFINE_integer(
    "weights_files", 1000, "How many weights files to corrupt.", lower_bound=0
)
flags.DEFINE_integer("full_disks", 10, "How many times to fill a disk.", lower_bound=0)
shared.define_backend()
flags.DEFINE_integer(
    "seed", 223, "Seeds the moments and the corrupted bytes.", lower_bound=0
)


def main(argv: Sequence[str]) -> None:
    """Runs the campaign, prints its table, and fails if anything was lost."""
    del argv
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    keras_setup.import_tensorflow()
    from experiments.support import corruption, fault_campaign

    generator = random.Random(FLAGS.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        runs, sweeps, disks = (folder / part for part in ("runs", "sweeps", "disks"))
        disks.mkdir()
        counts = [
            corruption.corrupt_checkpoints(FLAGS.checkpoints, generator),
            corruption.corrupt_weights_files(folder, FLAGS.weights_files, generator),
            fault_campaign.full_disks(disks, FLAGS.full_disks, generator),
            fault_campaign.killed_runs(runs, FLAGS.kills, generator),
            fault_campaign.killed_sweeps(sweeps, FLAGS.sweep_kills, generator),
        ]
    for count in counts:
        for note in count.notes:
            program.note(f"{count.fault}: {note}")
    rows = [(count.fault, str(count.tried), str(count.survived)) for count in counts]
    print(text.text_table([("fault", "tried", "survived"), *rows]))
    lost = [count.fault for count in counts if count.survived < count.tried]
    if lost:
        raise errors.UsageError(f"something was lost: {', '.join(lost)}")


if __name__ == "__main__":
    program.run(main)
