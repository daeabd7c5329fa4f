"""Training a network of our own from scratch, for weights to fine-tune later."""

from __future__ import annotations

import keras

from normtest_tf import backbones, datasets, normalization
from normtest_tf.system import keras_setup
from normtest_tf.text import Notify
from normtest_tf.training import (
    EpochRow,
    choices,
    loop,
    progress,
    regimes,
    stacks,
    training_copy,
)
from normtest_tf.training.choices import Seeds
from normtest_tf.training.recipe import Recipe


@keras_setup.checked()
def pretrain(
    architecture: backbones.Architecture,
    dataset: datasets.ImageDataset,
    recipe: Recipe,
    seeds: Seeds,
    notify: Notify,
    augmentation: str | None = None,
) -> tuple[keras.Model, list[EpochRow]]:
    """Trains a network with its classifier, on inputs normalised with their statistics.

    Args:
        architecture: One of our own networks.
        dataset: What to train and evaluate on.
        recipe: How to train.
        seeds: The data seed and the model seed.
        notify: Called with the channel statistics and with a line per epoch.
        augmentation: How training images are varied; None for the default.

    Returns:
        The network, which maps normalised images to logits, and its history, one row
        per epoch.

    Raises:
        UsageError: If a batch would be too small for batch normalization.
    """
    statistics = normalization.channel_statistics(
        dataset.train_images, f"all training images of {dataset.name}", notify
    )
    notify(f"channel mean {statistics.mean}\nchannel std  {statistics.std}")
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
    regimes.check_batches(model, len(dataset.train_images), recipe.batch_size)
    trained = training_copy.make(model)
    data = loop.TrainingData(
        loop.Split(dataset.train_images, dataset.train_labels),
        {"test": loop.Split(dataset.test_images, dataset.test_labels)},
        seeds.data,
        choices.resolve_augmentation(augmentation, dataset.image_shape[0], notify),
    )
    calls = stacks.shapes(len(data.train), recipe.batch_size)
    bar = progress.Progress(
        architecture.name, [steps * n for steps, n in calls], recipe.epochs
    )
    rows: list[EpochRow] = []

    def on_row(row: EpochRow) -> None:
        rows.append(row)
        bar.show(row, notify)

    loop.fit(trained, recipe, data, on_row, callbacks=[bar])
    model.set_weights(trained.get_weights())
    return network, rows
