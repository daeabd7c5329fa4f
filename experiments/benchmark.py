"""Measures training speed against PyTorch doing the same work, in the same run.

    pip install torch timm torchvision
    python -m experiments.benchmark --dataset=cifar10 --data_dir=DIR

Both sides fine-tune the same network from scratch on the same images, input
pipeline included: this project as experiments.train does, PyTorch eagerly with the
reference's DataLoader on PIL images. Each measurement has a process of its own and
an unmeasured first epoch; the two sides take turns. The ratio is what to quote:
rates depend on the machine.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import pathlib
import statistics
import tempfile
from collections.abc import Callable, Sequence

from absl import flags

from experiments.support import program
from normtest_tf import backbones, errors, text
from normtest_tf.system import files, quiet

FLAGS = flags.FLAGS

program.define_dataset_flag("cifar10")
program.define_data_flags()
flags.DEFINE_enum(
    "model", "resnet18", ["resnet18"], "Network to train; timm must have it too."
)
flags.DEFINE_integer("batch_size", 256, "Images in a batch.", lower_bound=1)
flags.DEFINE_integer("rounds", 3, "Measurements of each side.", lower_bound=1)
flags.DEFINE_integer(
    "workers",
    2,
    "Processes of PyTorch's DataLoader; 0 loads in its own.",
    lower_bound=0,
)
flags.DEFINE_string("output", None, "JSON file for the measurements. Default: none.")


def measure(side: Callable[..., dict[str, float]], **options: object) -> dict:
    """Runs one measurement in a process of its own, so that peaks are its own."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(side, **options).result()


def main(argv: Sequence[str]) -> None:
    """Lets the two sides take turns and prints rates, memory and the ratio."""
    del argv
    try:
        from experiments.support import speed
    except ImportError as error:
        raise errors.UsageError(
            f"{error}; the benchmark needs PyTorch: pip install torch timm torchvision"
        ) from error
    quiet.import_tensorflow()
    from normtest_tf import datasets

    backbones.get(FLAGS.model)
    dataset = datasets.load(FLAGS.dataset, FLAGS.data_dir, FLAGS.image_size)
    dataset = dataset.take(FLAGS.train_examples or 5120, FLAGS.test_examples)
    measured: dict[str, list[dict[str, float]]] = {"keras": [], "pytorch": []}
    with tempfile.TemporaryDirectory() as folder:
        speed.write_images(pathlib.Path(folder), dataset)
        options = {
            "folder": folder,
            "model": FLAGS.model,
            "classes": dataset.num_classes,
            "batch_size": FLAGS.batch_size,
        }
        for number in range(1, FLAGS.rounds + 1):
            print(f"round {number}/{FLAGS.rounds}", flush=True)
            measured["keras"].append(measure(speed.train_keras, **options))
            measured["pytorch"].append(
                measure(speed.train_pytorch, workers=FLAGS.workers, **options)
            )
    print(report(measured))
    if FLAGS.output:
        files.write_json(pathlib.Path(FLAGS.output), measured)


def report(measured: dict[str, list[dict[str, float]]]) -> str:
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
