r"""Measures the mean and std of a data set's images, exactly, in one pass.

    python -m experiments.statistics --dataset=cifar10 --data_dir=DIR
    python -m experiments.statistics --dataset=folder:flowers --json=statistics.json

The images are those to train on, at their own size or at --image_size. Of data without
splits they are all images, in whatever folders; with --test_fraction=0.2, those that a
run would train on. Printed are both definitions of std, ImageNet's constants beside
them, how far the images are from ImageNet's, and lines to paste into PyTorch and Keras.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from absl import flags
from tqdm import tqdm

from experiments.support import flags as shared
from experiments.support import program
from normtest_tf import datasets, text
from normtest_tf.datasets import catalogue
from normtest_tf.normalization import (
    IMAGENET,
    IMAGENET_POOLED,
    ChannelStatistics,
    channel_statistics,
)
from normtest_tf.normalization.statistics import (
    PIXEL_MAX,
    PixelCounts,
    mean_of_stds,
    pixel_distance,
)
from normtest_tf.system import files, keras_setup

FLAGS = flags.FLAGS

IGNORED = ("test_examples", "memory_budget")
shared.define("dataset", *(x for x in shared.DATA if x not in IGNORED), "shift")
flags.DEFINE_string("json", None, "File for the numbers, in full precision.")


def main(argv: Sequence[str]) -> None:
    """Measures the images, prints and writes the result."""
    del argv
    reading = shared.run_config().reading
    datasets.check_available(FLAGS.dataset, reading)
    if FLAGS.json:
        files.check_writable(files.expand(FLAGS.json).parent)
    if not FLAGS.dataset.startswith(("folder:", "csv:", "digits")):
        keras_setup.import_tensorflow()  # Silently.
    number, found = catalogue.count_pixels(
        FLAGS.dataset, reading, program.note, FLAGS.train_examples
    )
    shown = tqdm(found, total=number, unit=" images", leave=False, disable=None)
    counts = functools.reduce(PixelCounts.plus, shown)
    own = channel_statistics(counts, datasets.slug(FLAGS.dataset), program.note)
    stds = mean_of_stds(counts, "", text.ignore).std
    print(f"{own.source}: {text.counted(counts.images, 'image')}\n")
    print(to_text(own, stds), flush=True)
    if FLAGS.json:
        numbers: dict[str, object] = {
            "mean": own.mean,
            "std": own.std,
            "std_mean_of_images": stds,
        }
        numbers |= {"images": counts.images, "pixel_distance": _distance(own)}
        files.write_json(files.expand(FLAGS.json), numbers)


def to_text(own: ChannelStatistics, stds: Sequence[float]) -> str:
    """Returns a table of the numbers, what they say, and lines to paste."""
    rows = {
        "mean": own.mean,
        "std, over all pixels": own.std,
        "std, mean of the images' own": stds,
        "ImageNet: mean": IMAGENET.mean,
        "ImageNet: std, over all pixels": IMAGENET_POOLED.std,
        "ImageNet: std, mean of the images' own": IMAGENET.std,
    }
    table: list[tuple[str, ...]] = [("pixels from 0 to 1", "red", "green", "blue")]
    table += [(name, *(f"{x:.4f}" for x in row)) for name, row in rows.items()]
    mean, std = ([round(x, 4) for x in row] for row in (own.mean, own.std))
    means = [round(PIXEL_MAX * x, 3) for x in own.mean]
    variances = [round((PIXEL_MAX * x) ** 2, 2) for x in own.std]
    return (
        f"{text.text_table(table)}\n\n"
        f"pixel distance from ImageNet: {_distance(own):.2f} (CIFAR10's is 0.14). It "
        "does not say which\nconstants are better; behind a frozen backbone, "
        "experiments.explain measures that.\n\n"
        "PyTorch, for pixels from 0 to 1, as ToTensor returns them:\n"
        f"    transforms.Normalize(mean={mean}, std={std})\n"
        "Keras, for pixels from 0 to 255:\n"
        f"    keras.layers.Normalization(mean={means}, variance={variances})\n"
        "experiments.train and sweep:\n"
        f"    --normalization=given {_flag('mean', mean)} {_flag('std', std)}"
    )


def _flag(name: str, values: Sequence[float]) -> str:
    return f"--{name}={','.join(map(str, values))}"


def _distance(own: ChannelStatistics) -> float:
    return pixel_distance(own, IMAGENET)


if __name__ == "__main__":
    program.run(main)
