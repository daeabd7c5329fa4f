"""Trains a network of our own from scratch and writes its weights in timm's layout.

The package's own weights of cifar_resnet8, `cifar10`, were made by this command, which
trains it on all of CIFAR10 for 30 epochs:

    python -m experiments.pretrain --data_dir=DIR --output=FILE.safetensors
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from absl import flags

from experiments.support import flags as shared
from experiments.support import program
from normtest_tf import backbones, datasets, errors
from normtest_tf.system import files, keras_settings, quiet
from normtest_tf.training.seeds import Seeds

FLAGS = flags.FLAGS

shared.define("dataset", *shared.DATA, "shift", "augmentation", "seed")
shared.define(epochs=30, batch_size=128, learning_rate=3e-3)
flags.DEFINE_string(
    "model",
    "cifar_resnet8",
    "Network to train: any but those of Keras Applications.",
)
flags.DEFINE_string("output", None, "The .safetensors file to write.", required=True)
flags.DEFINE_enum(
    "output_dtype", "float16", ["float16", "float32"], "Type of the weights in it."
)
shared.define_backend()
flags.DEFINE_bool("overwrite", False, "Replace the file if it exists.")


def check_output(output: pathlib.Path) -> None:
    """Raises `UsageError` if the weights can't or should not be written there."""
    if output.suffix != ".safetensors":
        raise errors.UsageError(
            f"--output must end in .safetensors. Received: {output}"
        )
    if output.is_dir():
        raise errors.UsageError(f"{output} is a folder; name a file in it")
    if output.exists() and not FLAGS.overwrite:
        raise errors.UsageError(f"{output} exists; pass --overwrite to replace it")


def main(argv: Sequence[str]) -> None:
    """Trains the network and writes its weights."""
    del argv
    output = files.expand(FLAGS.output)
    check_output(output)
    architecture = backbones.get(FLAGS.model)
    if not architecture.is_own:
        own = [name for name, entry in backbones.ARCHITECTURES.items() if entry.is_own]
        raise errors.UsageError(
            f"--model={FLAGS.model} is not one of our own networks, so its weights "
            f"have no names in timm's layout. Allowed: {', '.join(own)}"
        )
    files.check_writable(output.parent)
    keras_settings.check_can_train()
    quiet.import_tensorflow()
    from normtest_tf.backbones import timm_layout
    from normtest_tf.training import pretraining
    from normtest_tf.training.recipe import Recipe

    dataset = datasets.load(FLAGS.dataset, shared.reading_options(), program.note)
    model, rows = pretraining.pretrain(
        architecture,
        dataset.take(FLAGS.train_examples, FLAGS.test_examples),
        Recipe(FLAGS.epochs, FLAGS.batch_size, FLAGS.learning_rate),
        Seeds.split(FLAGS.seed),
        program.show,
        FLAGS.augmentation,
    )
    with files.atomic_path(output) as path:
        timm_layout.save(model, path, FLAGS.output_dtype)
    print(f"test accuracy of the final epoch: {rows[-1]['test_accuracy']:.2%}")
    print(f"weights: {output} ({output.stat().st_size:,} bytes)")


if __name__ == "__main__":
    program.run(main)
