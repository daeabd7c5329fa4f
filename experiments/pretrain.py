"""Trains a network of our own from scratch and writes its weights in timm's layout.

The package's own weights of cifar_resnet8, `cifar10`, were made by this command, which
trains it on all of CIFAR10 for 30 epochs:

    python -m experiments.pretrain --data_dir=DIR --output=FILE.safetensors
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from experiments.support import flags as shared
from experiments.support import program
from normtest_tf import backbones, datasets, errors, normalization
from normtest_tf.system import files, keras_setup
from normtest_tf.training import choices

if TYPE_CHECKING:
    import keras

    from normtest_tf.training import EpochRow

FLAGS = flags.FLAGS

shared.define("dataset", *shared.DATA, "shift", "augmentation", "seed")
shared.define(epochs=30, batch_size=128, learning_rate=3e-3)
flags.DEFINE_string(
    "model", "cifar_resnet8", "Network to train: any but those of Keras Applications."
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
    keras_setup.import_tensorflow()
    from normtest_tf.backbones import weights

    dataset = datasets.load(FLAGS.dataset, shared.run_config().reading, program.note)
    dataset = dataset.take(FLAGS.train_examples, FLAGS.test_examples)
    model, rows = train(architecture, dataset)
    with files.atomic_path(output) as path:
        weights.save_file(model, path, FLAGS.output_dtype)
    print(f"test accuracy of the final epoch: {rows[-1]['test_accuracy']:.2%}")
    print(f"weights: {output} ({output.stat().st_size:,} bytes)")


def train(
    architecture: backbones.Architecture, dataset: datasets.ImageDataset
) -> tuple[keras.Model, list[EpochRow]]:
    """Trains a network as the flags say, on inputs normalised by their statistics.

    Returns the network, from normalised images to logits, and a row per epoch.
    """
    import keras

    from normtest_tf.training import loop, pipeline, training_copy
    from normtest_tf.training.recipe import Recipe

    architecture.check_size(dataset.image_shape)
    seeds = choices.Seeds.split(FLAGS.seed)
    statistics = normalization.channel_statistics(
        dataset.train_images, f"all training images of {dataset.name}", program.show
    )
    program.show(f"channel mean {statistics.mean}\nchannel std  {statistics.std}")
    keras.utils.set_random_seed(seeds.model)
    network = architecture.build(
        weights=None,
        input_shape=dataset.image_shape,
        classes=dataset.num_classes,
        classifier_activation=None,
    )
    inputs = keras.Input(dataset.image_shape, dtype="uint8")
    normalized = normalization.normalization_layer(statistics, dataset.image_shape)
    model = keras.Model(inputs, network(normalized(inputs)))
    training_copy.check_batches(model, len(dataset.train_images), FLAGS.batch_size)
    trained = training_copy.make(model)
    data = pipeline.TrainingData(
        pipeline.Split(dataset.train_images, dataset.train_labels),
        {"test": pipeline.Split(dataset.test_images, dataset.test_labels)},
        seeds.data,
        choices.resolve_augmentation(
            FLAGS.augmentation, dataset.image_shape[0], program.show
        ),
        shared.run_config().black,
    )
    adam = Recipe(FLAGS.epochs, FLAGS.batch_size, FLAGS.learning_rate)
    bar = loop.Progress(architecture.name, adam, len(data.train))
    rows: list[EpochRow] = []

    def on_row(row: EpochRow) -> None:
        rows.append(row)
        bar.show(row, program.show)

    loop.fit(trained, adam, data, on_row, callbacks=[bar])
    model.set_weights(trained.get_weights())
    return network, rows


if __name__ == "__main__":
    program.run(main)
