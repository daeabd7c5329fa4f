"""How long a run would take on this machine."""

from __future__ import annotations

import dataclasses
import time

import keras
import numpy as np

from normtest_tf import datasets, normalization, runs, training
from normtest_tf.training import classifier, environment, pytorch_semantics

# A forward pass takes about a third of a training step.
EVALUATION_SPEED = 3
BATCHES = 3
BATCH_SIZE = 64


def probe_seconds(config: runs.RunConfig) -> float:
    """Estimates a run's duration by training on a few random images.

    Args:
        config: The run. Its data and weights are not loaded.

    Returns:
        Seconds: building and compiling, training at the rate of the second of two
        short epochs, and evaluating three times as fast.
    """
    started = time.perf_counter()
    batch_size = min(config.batch_size, BATCH_SIZE)
    size, train_examples, test_examples = _dimensions(config)
    images = np.random.default_rng(0).integers(
        0, 256, [BATCHES * batch_size, size, size, 3], np.uint8
    )
    keras.utils.clear_session()
    model, _ = classifier.build_classifier(
        dataclasses.replace(config, weights="none").source(),
        normalization.IMAGENET,
        image_shape=(size, size, 3),
        num_classes=10,
        seed=0,
        precision=environment.resolve_precision(config.precision),
    )
    rows: list[dict[str, float]] = []
    training.fit(
        pytorch_semantics.with_pytorch_batch_norm(model),
        training.Recipe(2, batch_size),
        training.Split(images, np.arange(len(images)) % 10),
        {},
        data_seed=0,
        on_row=rows.append,
    )
    preparation = time.perf_counter() - started - 2 * rows[1]["seconds"]
    evaluated = (test_examples + config.validation_examples) / EVALUATION_SPEED
    trained = train_examples - config.validation_examples + evaluated
    return preparation + config.epochs * trained / rows[1]["images_per_second"]


def _dimensions(config: runs.RunConfig) -> tuple[int, int, int]:
    """Returns a run's image size and its numbers of training and test images."""
    if config.dataset in datasets.DATASETS:
        entry = datasets.DATASETS[config.dataset]
        size, train, test = entry.image_size, entry.train_examples, entry.test_examples
    else:
        loaded = datasets.load(config.dataset, config.data_dir, config.image_size)
        size, train = loaded.image_shape[0], len(loaded.train_images)
        test = len(loaded.test_images)
    return (
        size,
        min(train, config.train_examples or train),
        min(test, config.test_examples or test),
    )
