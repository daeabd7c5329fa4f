"""How long a run would take on this machine, from a few steps on random images."""

from __future__ import annotations

import time

import keras
import numpy as np

from normtest_tf import backbones, datasets
from normtest_tf.normalization import IMAGENET, normalization_layer
from normtest_tf.runs import RunConfig
from normtest_tf.system import keras_settings
from normtest_tf.text import ignore
from normtest_tf.training import (
    EpochRow,
    choices,
    classifier,
    environment,
    loop,
    regimes,
    training_copy,
)
from normtest_tf.training.recipe import Recipe

# A forward pass takes about a third of a training step.
EVALUATION_SPEED = 3
BATCHES = 3
BATCH_SIZE = 64


@keras_settings.pinned()
def probe_seconds(config: RunConfig) -> float:
    """Estimates a run's duration by training on a few random images.

    Args:
        config: The run. Its data and weights are not loaded.

    Returns:
        Seconds: building and compiling, training at the rate of the second of two
        short epochs, and evaluating three times as fast.
    """
    started = time.perf_counter()
    size, train_examples, test_examples = _dimensions(config)
    second_epoch = _train_two_epochs(config, size)
    preparation = time.perf_counter() - started - 2 * second_epoch["seconds"]
    evaluated = (test_examples + config.validation_examples) / EVALUATION_SPEED
    trained = train_examples - config.validation_examples + evaluated
    return preparation + config.epochs * trained / second_epoch["images_per_second"]


def _train_two_epochs(config: RunConfig, size: int) -> EpochRow:
    """Trains the run's network on random images; returns the second epoch's row."""
    batch_size = min(config.batch_size, BATCH_SIZE)
    shape = (size, size, 3)
    images = np.random.default_rng(0).integers(
        0, 256, [BATCHES * batch_size, *shape], np.uint8
    )
    keras.utils.clear_session()
    model = classifier.build_classifier(
        backbones.resolve(config.model, "none", IMAGENET),
        normalization_layer(IMAGENET, shape),
        classifier.Task(shape, num_classes=10),
        seed=0,
        precision=environment.resolve_precision(config.precision),
        notify=ignore,
    )
    rows: list[EpochRow] = []
    split = loop.Split(images, np.arange(len(images)) % 10)
    loop.fit(
        regimes.freeze(training_copy.make(model), config.train),
        Recipe(epochs=2, batch_size=batch_size),
        loop.TrainingData(
            split,
            {},
            seed=0,
            augmentation=choices.resolve_augmentation(config.augmentation, size),
        ),
        rows.append,
    )
    return rows[1]


def _dimensions(config: RunConfig) -> tuple[int, int, int]:
    """Returns a run's image size and its numbers of training and test images."""
    if config.dataset in datasets.DATASETS:
        entry = datasets.DATASETS[config.dataset]
        size = config.image_size or entry.image_size
        train, test = entry.train_examples, entry.test_examples
        classes = entry.num_classes
    else:
        loaded = datasets.load(config.dataset, config.reading)
        size, train = loaded.image_shape[0], len(loaded.train_images)
        test, classes = len(loaded.test_images), loaded.num_classes
    if config.examples_per_class:
        train = min(train, config.examples_per_class * classes)
    return (
        size,
        min(train, config.train_examples or train),
        min(test, config.test_examples or test),
    )
