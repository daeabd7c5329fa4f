"""Measures training speed against PyTorch doing the same work, in the same run.

    pip install torch timm torchvision
    python -m experiments.benchmark --dataset=cifar10 --data_dir=DIR

Both sides train the same network from scratch on the same images, input pipeline
included: this project as experiments.train does, PyTorch eagerly with the reference
code's DataLoader on PIL images. Each measurement has a process of its own and an
unmeasured first epoch; the two sides take turns. The ratio is what to quote: rates
depend on the machine.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import pathlib
import statistics
import tempfile
from collections.abc import Callable, Sequence

from absl import flags

from experiments.support import flags as shared
from experiments.support import program, pytorch, speed
from normtest_tf import backbones, datasets, errors, text
from normtest_tf.system import files, quiet

FLAGS = flags.FLAGS
TRAIN_EXAMPLES = 5120  # Unless the flag says otherwise: 20 steps of the default batch.

shared.define("dataset", *shared.DATA, "batch_size")
flags.DEFINE_string(
    "model", "resnet18", "Network to train: a ResNet or DenseNet that timm has, too."
)
flags.DEFINE_integer("rounds", 3, "Measurements of each side.", lower_bound=1)
flags.DEFINE_integer(
    "workers",
    2,
    "Worker processes of PyTorch's DataLoader; 0 loads in the main process.",
    lower_bound=0,
)
flags.DEFINE_string("output", None, "JSON file for the measurements. Default: none.")

Measurements = dict[str, list[dict[str, float]]]  # By side, one for each round.


def check_model(name: str) -> None:
    """Raises `UsageError` unless this package and timm both have the network."""
    allowed = [
        entry.name
        for entry in backbones.ARCHITECTURES.values()
        if entry.tags[entry.default_tag].origin.startswith("hf:timm/")
    ]
    if name not in allowed:
        raise errors.unknown_name("model", name, allowed)


def main(argv: Sequence[str]) -> None:
    """Lets the two sides take turns and prints rates, memory and the ratio."""
    del argv
    check_model(FLAGS.model)
    pytorch.check_installed()
    quiet.import_tensorflow()
    dataset = datasets.load(FLAGS.dataset, FLAGS.data_dir, FLAGS.image_size)
    train_examples = FLAGS.train_examples or TRAIN_EXAMPLES
    dataset = dataset.take(train_examples, FLAGS.test_examples)
    with tempfile.TemporaryDirectory() as name:
        work = speed.Work(
            pathlib.Path(name), FLAGS.model, dataset.num_classes, FLAGS.batch_size
        )
        work.write_images(dataset)
        measured = take_turns(work)
    print(report(measured))
    if FLAGS.output:
        files.write_json(pathlib.Path(FLAGS.output), measured)


def take_turns(work: speed.Work) -> Measurements:
    """Lets each side do the work in every round; returns what was measured."""
    measured: Measurements = {"keras": [], "pytorch": []}
    for number in range(1, FLAGS.rounds + 1):
        print(f"round {number}/{FLAGS.rounds}", flush=True)
        measured["keras"].append(measure(speed.train_keras, work))
        measured["pytorch"].append(measure(speed.train_pytorch, work, FLAGS.workers))
    return measured


def measure(side: Callable[..., dict[str, float]], *args: object) -> dict[str, float]:
    """Runs one measurement in a process of its own, so that peaks are its own."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(side, *args).result()


def report(measured: Measurements) -> str:
    """Returns a table of medians over rounds, and the ratio of the rates."""
    rows = [("", "images/s (median)", "images/s (range)", "peak memory")]
    medians = {}
    for side, results in measured.items():
        rates = [result["images_per_second"] for result in results]
        medians[side] = statistics.median(rates)
        peak = max(result["peak_memory_mib"] for result in results)
        rows.append(
            (
                side,
                f"{medians[side]:,.0f}",
                f"{min(rates):,.0f} to {max(rates):,.0f}",
                f"{peak:,.0f} MiB",
            )
        )
    ratio = medians["keras"] / medians["pytorch"]
    return f"{text.text_table(rows)}\nkeras / pytorch: {ratio:.2f}"


if __name__ == "__main__":
    program.run(main)
