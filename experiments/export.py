r"""Writes a run's model in a format that others can use, and proves it equal.

    python -m experiments.export --format=onnx \
        --run_dir=results/cifar10/resnet18-finetune/seed-223

An export takes raw uint8 RGB images, any number of them, with the normalization
inside, and gives logits; class names and statistics lie in its metadata. It is
reloaded by its own runtime in a fresh process, which must compute what the run's
model computes, before it is put in its place. docs/export.md tells how to use each.
"""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from experiments.support import program
from normtest_tf import datasets, runs
from normtest_tf.export import formats
from normtest_tf.export import metadata as model_metadata
from normtest_tf.system import files, quiet

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "run_dir",
    None,
    "A finished run's folder: <results_dir>/<dataset>/<model>-<normalization>/"
    "seed-<seed>.",
    required=True,
)
flags.DEFINE_enum(
    "format",
    "keras",
    list(formats.FORMATS),
    "keras: a .keras file. saved_model: a folder for TensorFlow and its servers. "
    "onnx: an .onnx file. litert: a .tflite file.",
)
flags.DEFINE_string(
    "output",
    None,
    "Where to write. Default: model.keras, model.onnx, model.tflite or saved_model "
    "in the run's folder export/.",
)
flags.DEFINE_bool("probabilities", False, "Give probabilities instead of logits.")
flags.DEFINE_bool(
    "features",
    False,
    "Give the backbone's pooled features, normalization included, without the head.",
)
flags.DEFINE_bool("overwrite", False, "Replace an export that is already there.")
flags.DEFINE_integer(
    "check_images", 32, "Compare with the run's model on N images.", lower_bound=1
)
flags.DEFINE_enum(
    "check_on",
    "random",
    ["random", "test"],
    "Compare on random pixels, which need no data, or on the first test images of "
    "the run's data set.",
)
flags.DEFINE_string(
    "dataset",
    None,
    "The data set of --check_on=test. Default: the run's, which has to be named again "
    "where it was folder:PATH.",
)
flags.DEFINE_string(
    "data_dir", None, "Where --check_on=test finds the data set, as in training."
)
flags.mark_bool_flags_as_mutual_exclusive(["probabilities", "features"])


def check_images(metadata: dict[str, Any]) -> np.ndarray:
    """Returns the images that the flags ask to compare on."""
    from normtest_tf.export import verification

    if FLAGS.check_on == "random":
        return verification.random_images(
            metadata["image"]["shape"], FLAGS.check_images
        )
    run = runs.read_json(pathlib.Path(FLAGS.run_dir, "config.json"))["requested"]
    name = verification.comparison_dataset(run["dataset"], FLAGS.dataset)
    dataset = datasets.load(name, FLAGS.data_dir, run["image_size"])
    return dataset.test_images[: FLAGS.check_images]


def main(argv: Sequence[str]) -> None:
    """Writes and checks what the flags ask for."""
    del argv
    entry = formats.FORMATS[FLAGS.format]
    kind = "logits"
    if FLAGS.probabilities or FLAGS.features:
        kind = "probabilities" if FLAGS.probabilities else "features"
    run_dir = files.expand(FLAGS.run_dir)
    metadata = model_metadata.describe_run(run_dir, kind)
    path = entry.default_path(run_dir, kind)
    if FLAGS.output:
        path = files.expand(FLAGS.output)
    entry.check_path(path, overwrite=FLAGS.overwrite)
    entry.check_installed()
    # A GPU multiplies with fewer digits than the runtimes that it is compared with.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    quiet.import_tensorflow()
    from normtest_tf.export import prediction, verification

    model = prediction.load_model(run_dir / "model.keras")
    images = check_images(metadata)
    try:
        with quiet.silent_stderr():
            comparison = verification.export(
                model, path, FLAGS.format, metadata, images
            )
    except verification.ExportError as error:
        sys.exit(f"error: {error}")
    print(f"{FLAGS.format} against the run's model: {comparison}")
    print(f"export: {path}")


if __name__ == "__main__":
    program.run(main)
