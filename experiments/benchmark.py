"""Measures training speed against PyTorch doing the same work, in the same run.

    pip install torch timm torchvision
    python -m experiments.benchmark --dataset=cifar10 --data_dir=DIR

Both sides train the same network from scratch on the same images, input pipeline
included: this project as experiments.train does, PyTorch eagerly with the PyTorch
study's DataLoader on PIL images. Each measurement runs in its own process, after an
unmeasured first epoch; the two sides alternate. Quote the ratio: absolute rates depend
on the machine.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import multiprocessing
import pathlib
import statistics
import tempfile
from collections.abc import Callable, Sequence

from absl import flags

from experiments.support import flags as shared
from experiments.support import program, pytorch, speed
from experiments.support.speed import Measurement
from normtest_tf import backbones, datasets, errors, text
from normtest_tf.system import files, quiet

FLAGS = flags.FLAGS
TRAIN_EXAMPLES = 5120  # Unless the flag says otherwise: 20 steps of the default batch.

shared.define("dataset", *shared.DATA, "batch_size")
flags.DEFINE_string(
    "model", "resnet18", "Network to train: a ResNet or DenseNet that timm also has."
)
flags.DEFINE_integer("rounds", 3, "Measurements of each side.", lower_bound=1)
flags.DEFINE_integer(
    "workers",
    2,
    "Worker processes of PyTorch's DataLoader; 0 loads in the main process.",
    lower_bound=0,
)
flags.DEFINE_string("output", None, "JSON file for the measurements. Default: none.")

Measurements = dict[str, list[Measurement]]  # By side, one per round.


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
    """Alternates between the two sides and prints rates, memory and the ratio."""
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
        measured = alternate(work)
    print(report(measured))
    if FLAGS.output:
        values = {
            side: [dataclasses.asdict(result) for result in results]
            for side, results in measured.items()
        }
        files.write_json(pathlib.Path(FLAGS.output), values)


def alternate(work: speed.Work) -> Measurements:
    """Measures each side once per round."""
    measured: Measurements = {"keras": [], "pytorch": []}
    for number in range(1, FLAGS.rounds + 1):
        print(f"round {number}/{FLAGS.rounds}", flush=True)
        measured["keras"].append(measure(speed.train_keras, work))
        measured["pytorch"].append(measure(speed.train_pytorch, work, FLAGS.workers))
    return measured


def measure(side: Callable[..., Measurement], *args: object) -> Measurement:
    """Runs one measurement in its own process, so that peak memory is its own."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(side, *args).result()


def report(measured: Measurements) -> str:
    """Returns a table of medians over rounds, and the ratio of the rates.

    Args:
        measured: The measurements of the sides `keras` and `pytorch`; a peak that
            the system does not report is None.
    """
    rows = [("", "images/s (median)", "images/s (range)", "peak memory")]
    medians = {}
    for side, results in measured.items():
        rates = [result.images_per_second for result in results]
        medians[side] = statistics.median(rates)
        rows.append(
            (
                side,
                f"{medians[side]:,.0f}",
                f"{min(rates):,.0f} to {max(rates):,.0f}",
                peak_memory(results),
            )
        )
    ratio = medians["keras"] / medians["pytorch"]
    return f"{text.text_table(rows)}\nkeras / pytorch: {ratio:.2f}"


def peak_memory(results: Sequence[Measurement]) -> str:
    """Returns the highest peak as text."""
    peaks = [result.peak_memory_mib for result in results]
    known = [peak for peak in peaks if peak is not None]
    return f"{max(known):,.0f} MiB" if known else "unknown"


if __name__ == "__main__":
    program.run(main)
