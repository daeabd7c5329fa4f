r"""Exports a run's model to another format, and verifies the export.

    python -m experiments.export --format=onnx \
        --run_dir=results/cifar10/resnet18-finetune/seed-223

An export takes any number of raw uint8 RGB images, normalises them itself, and returns
logits. It carries class names and channel statistics as metadata. It is kept only if
its own runtime, in a fresh process, computes what the run's model computes with
--backend. A format that only TensorFlow can write is written by it with any backend.

--format=timm is for PyTorch: a folder with the weights in timm's names, for images that
are normalised as its config.json says. Where torch and timm are not installed, it is
read back into Keras and compared instead.
docs/export.md shows how to load each format.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from absl import flags

from experiments.support import flags as shared
from experiments.support import program
from normtest_tf.export import FORMATS, ExportError, describe_run
from normtest_tf.runs import RunFolder, metadata
from normtest_tf.runs.folder import LAYOUT
from normtest_tf.system import files, keras_setup

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "run_dir", None, f"A finished run's folder: {LAYOUT}.", required=True
)
flags.DEFINE_enum(
    "format",
    "keras",
    list(FORMATS),
    "keras: a .keras file. keras_folder: the same unpacked, with a model card, for the "
    "Hugging Face Hub. saved_model: a folder for TensorFlow and its servers. "
    "onnx: an .onnx file. litert: a .tflite file. timm: a folder for PyTorch, with "
    "weights in timm's names and a model card, of a ResNet or DenseNet that timm has.",
)
flags.DEFINE_string(
    "output",
    None,
    "Where to write the export. Default: model.keras, model.onnx, model.tflite, "
    "keras_folder, saved_model or timm in the run folder's export/.",
)
flags.DEFINE_bool(
    "probabilities", False, "Export a model that returns probabilities, not logits."
)
flags.DEFINE_bool(
    "features",
    False,
    "Export a model without the head, which returns the backbone's pooled features; "
    "normalization is included.",
)
shared.define_backend()
flags.DEFINE_bool("overwrite", False, "Replace an earlier export.")
flags.DEFINE_integer(
    "check_images",
    32,
    "Compare the export with the run's model on N images of random pixels.",
    lower_bound=1,
    upper_bound=10_000,
)
flags.mark_bool_flags_as_mutual_exclusive(["probabilities", "features"])


def main(argv: Sequence[str]) -> None:
    """Writes and verifies the export that the flags ask for."""
    del argv
    output = metadata.LOGITS
    if FLAGS.probabilities:
        output = metadata.PROBABILITIES
    elif FLAGS.features:
        output = metadata.FEATURES
    folder, entry = RunFolder(files.expand(FLAGS.run_dir)), FORMATS[FLAGS.format]
    description = describe_run(folder, output)
    entry.check(description)
    path = entry.default_path(folder, output)
    if FLAGS.output:
        path = files.expand(FLAGS.output)
    entry.check_path(path, overwrite=FLAGS.overwrite)
    entry.check_installed()
    # A GPU computes with fewer digits than the runtimes that it is compared with.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    keras_setup.import_tensorflow()
    from normtest_tf.export import prediction, verification

    shape = description["image"]["shape"]
    images = verification.random_images(shape, FLAGS.check_images)
    model = prediction.load_model(folder.model)
    try:
        with keras_setup.silent_stderr():
            deviation = verification.export(
                model, path, FLAGS.format, description, images
            )
    except ExportError as error:
        sys.exit(f"error: {error}")
    if FLAGS.format == "timm" and description["image"]["resize"] == "pad":
        program.note(
            "the run padded images with black and timm's transforms pad with the mean; "
            "pad images yourself before you pass them to timm"
        )
    print(f"{entry.name}{entry.verified_by()} against the run's model: {deviation}")
    print(f"export: {path}")


if __name__ == "__main__":
    program.run(main)
