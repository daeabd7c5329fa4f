"""How long runs take, from those that are done or from a few steps."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from normtest_tf import backbones, datasets
from normtest_tf.normalization import IMAGENET, normalization_layer
from normtest_tf.runs import Cell, ResultRecord, RunConfig, RunName, folder
from normtest_tf.sweeps import executor, grid
from normtest_tf.system import files, keras_setup
from normtest_tf.text import Notify, duration, ignore

EVALUATION_SPEED = 3  # A forward pass takes about a third of a training step.
BATCHES = 3
BATCH_SIZE = 64


def measured_seconds(results_dir: str) -> dict[Cell, float]:
    """Returns the mean duration of the finished runs of each cell."""
    seconds: dict[Cell, list[float]] = {}
    for run in folder.find(files.expand(results_dir)):
        if run.is_finished():
            value = ResultRecord.read(run).total_seconds
            seconds.setdefault(RunName.parse(run.path).cell, []).append(value)
    return {key: statistics.fmean(values) for key, values in seconds.items()}


class Clock:
    """Estimates how long a sweep will take."""

    def __init__(self, seconds: Mapping[Cell, float]) -> None:
        """Takes seconds a run; runs of other cells count as the mean of these."""
        self._seconds = {cell: [mean] for cell, mean in seconds.items()}
        self._started: dict[RunName, float] = {}

    def start(self, config: RunConfig) -> None:
        """Records that a run starts."""
        self._started[config.name] = time.monotonic()

    def stop(self, config: RunConfig, seconds: float | None = None) -> None:
        """Records a run's end, and how long all of it took if it is finished."""
        del self._started[config.name]
        if seconds is not None:
            self._seconds.setdefault(config.name.cell, []).append(seconds)

    def left(self, waiting: Sequence[RunConfig], slots: int) -> float | None:
        """Returns the seconds until all runs are done; None if no run ever was."""
        if not self._seconds:
            return None
        means = {cell: statistics.fmean(all) for cell, all in self._seconds.items()}
        typical = statistics.fmean(means.values())
        now = time.monotonic()
        each = [means.get(config.name.cell, typical) for config in waiting]
        for name, then in self._started.items():
            each.append(max(0.0, means.get(name.cell, typical) - (now - then)))
        # However many slots there are, a run occupies one.
        return max(sum(each) / slots, max(each, default=0.0))


def plan_table(
    configs: Sequence[RunConfig], seconds: Mapping[Cell, float]
) -> list[tuple[str, ...]]:
    """Returns the plan of a sweep, one row per cell under a header."""
    cells: dict[Cell, list[RunConfig]] = {}
    for config in configs:
        cells.setdefault(config.name.cell, []).append(config)
    header = ("data set", "model", "weights", "runs", "done", "to run", "a run", "all")
    rows: list[tuple[str, ...]] = [header]
    for cell, members in cells.items():
        to_run = sum(grid.state(config) != "done" for config in members)
        numbers = (len(members), len(members) - to_run, to_run)
        times = (seconds[cell], seconds[cell] * to_run)
        weights = members[0].resolved.network.label
        rows.append((*cell, weights, *map(str, numbers), *map(duration, times)))
    return rows


def expected_seconds(
    configs: Sequence[RunConfig], notify: Notify = ignore
) -> dict[Cell, float]:
    """Returns the duration of a run of each cell: measured, or else estimated.

    Each model is trained once, for a few steps on random images of each size, so that
    runs that do the same work get the same estimate.
    """
    seconds = measured_seconds(configs[0].results_dir)
    speeds: dict[tuple[str, int, str], tuple[float, float]] = {}
    for config in configs:
        if config.name.cell in seconds:
            continue
        size, train, test = _dimensions(config)
        key = (config.model, size, config.train)
        if key not in speeds:
            notify(f"measuring {config.name.model} at {size}x{size} ...")
            speeds[key] = _measure(config, size)
        preparation, images_per_second = speeds[key]
        test += config.validation_examples
        images = train - config.validation_examples + test / EVALUATION_SPEED
        seconds[config.name.cell] = (
            preparation + config.epochs * images / images_per_second
        )
    return seconds


def _measure(config: RunConfig, size: int) -> tuple[float, float]:
    """Returns seconds to build and compile a network, and images trained a second."""
    started = time.perf_counter()
    with keras_setup.checked():
        _, second = _train_two_epochs(config, size)
    preparation = time.perf_counter() - started - 2 * second["seconds"]
    return max(0.0, preparation), second["images_per_second"]


def _train_two_epochs(config: RunConfig, size: int) -> list[Mapping[str, Any]]:
    """Trains the run's network on random images; returns the history."""
    import keras
    import numpy as np

    from normtest_tf.training import (
        choices,
        classifier,
        environment,
        loop,
        pipeline,
        training_copy,
    )
    from normtest_tf.training.loop import Recipe

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
    rows: list[Mapping[str, Any]] = []
    split = pipeline.Split(images, np.arange(len(images)) % 10)
    augment = choices.resolve_augmentation(config.augmentation, size)
    loop.fit(
        training_copy.freeze(training_copy.make(model), config.train),
        Recipe(epochs=2, batch_size=batch_size),
        pipeline.TrainingData(split, {}, seed=0, augmentation=augment),
        rows.append,
    )
    return rows


def _dimensions(config: RunConfig) -> tuple[int, int, int]:
    """Returns a run's image size and its numbers of training and test images."""
    if config.dataset not in datasets.DATASETS:
        used = config.subset_of(executor.load(config))
        return used.image_shape[0], len(used.train_labels), len(used.test_labels)
    entry = datasets.DATASETS[config.dataset]  # Without downloading it.
    train = min(entry.train_examples, config.train_examples or entry.train_examples)
    if config.examples_per_class:
        train = min(train, config.examples_per_class * entry.num_classes)
    test = min(entry.test_examples, config.test_examples or entry.test_examples)
    return config.image_size or entry.image_size, train, test
