"""How long runs take, from those that are done or from a few steps."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from normtest_tf import backbones, datasets, errors, normalization
from normtest_tf.normalization import IMAGENET, normalization_layer
from normtest_tf.runs import Cell, ResultRecord, RunConfig, RunName, folder
from normtest_tf.sweeps import executor
from normtest_tf.system import files, keras_setup
from normtest_tf.text import Notify, duration, ignore
from normtest_tf.training import EpochRow, choices

BATCHES = 2  # Of an epoch that is measured.
BATCH_PIXELS = 2**20  # The most in a batch: 1,024 images of 32x32.
ENOUGH_SECONDS = 2.0  # Of such epochs, of which the fastest counts.
RUN_SECONDS = 2.0  # What each run takes besides: loading weights, saving the model.


def measured_seconds(results_dir: str) -> dict[Cell, float]:
    """Returns the mean duration of the finished runs of each cell."""
    seconds: dict[Cell, list[float]] = {}
    for run in folder.find(files.expand(results_dir)):
        # Files of other sweeps may be damaged, or vanish.
        with contextlib.suppress(errors.UsageError):
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
        to_run = sum(not config.is_done for config in members)
        numbers = (len(members), len(members) - to_run, to_run)
        times = (seconds[cell], seconds[cell] * to_run)
        weights = members[0].resolved.network.label
        rows.append((*cell, weights, *map(str, numbers), *map(duration, times)))
    return rows


@dataclasses.dataclass(frozen=True)
class Cost:
    """What training a network takes, in seconds."""

    preparation: float  # To build, trace and compile it, once in a worker.
    trained: float  # An image.
    evaluated: float  # An image.

    def of(self, config: RunConfig, train: int, test: int) -> float:
        """Returns the seconds of a run without the preparation."""
        if config.train == choices.HEAD and not config.recalibrate:  # On features.
            passes = 1 if config.augmentation == choices.NONE else config.epochs
            return RUN_SECONDS + (passes * train + test) * self.evaluated
        held_out = config.validation_examples
        epoch = (train - held_out) * self.trained + (test + held_out) * self.evaluated
        return RUN_SECONDS + config.epochs * epoch


Work: TypeAlias = tuple[str, int, str]  # A model, the image side, what is trained.


def expected_seconds(
    configs: Sequence[RunConfig], notify: Notify = ignore
) -> dict[Cell, float]:
    """Returns the duration of a run of each cell: measured, or else estimated.

    Each model is trained once in each way, for a few steps on random images, and runs
    that do the same work get the same estimate: with an equal part of the preparation,
    which runs of one kind share.
    """
    seconds = measured_seconds(configs[0].results_dir)
    new = [config for config in configs if config.name.cell not in seconds]
    cells = {config.name.cell: config for config in new}
    images = {cell: _dimensions(config) for cell, config in cells.items()}
    works = [(each.model, images[each.name.cell][0], each.train) for each in new]
    costs = _measured_costs(dict(zip(works, new, strict=True)), notify)
    runs, prepared = collections.Counter(works), _preparations(new, works)
    for config, work in zip(new, works, strict=True):
        share = costs[work].preparation * prepared[work] / runs[work]
        _, train, test = images[config.name.cell]
        seconds[config.name.cell] = share + costs[work].of(config, train, test)
    return seconds


def _preparations(
    configs: Sequence[RunConfig], works: Sequence[Work]
) -> collections.Counter[Work]:
    """Counts how often each work is prepared by workers that end as `local`'s do."""
    counts: collections.Counter[Work] = collections.Counter()
    graphs: set[tuple] = set()
    for config, work in zip(configs, works, strict=True):
        layers = normalization.get(config.normalization).layers_of
        if (graph := (config.dataset, layers, work)) not in graphs:
            graphs.add(graph)
            counts[work] += 1
        if len(graphs) == executor.GRAPHS_PER_WORKER:
            graphs.clear()
    return counts


def _measured_costs(
    configs: Mapping[Work, RunConfig], notify: Notify
) -> dict[Work, Cost]:
    """Trains each network for a few steps, and says how far it is."""
    costs: dict[Work, Cost] = {}
    started, left = time.perf_counter(), ""
    for number, (work, config) in enumerate(configs.items(), 1):
        what = f"{config.name.model} at {work[1]}x{work[1]}, --train={config.train}"
        notify(f"measuring {number}/{len(configs)}: {what}{left}")
        with keras_setup.checked():
            costs[work] = measure(config, work[1])
        each = (time.perf_counter() - started) / number
        left = f" | about {duration(each * (len(configs) - number))} left"
    return costs


def measure(config: RunConfig, size: int) -> Cost:
    """Trains the run's network on random images until the time of an epoch is known."""
    import keras
    import numpy as np

    from normtest_tf.training import (
        classifier,
        environment,
        loop,
        pipeline,
        training_copy,
    )
    from normtest_tf.training.recipe import Recipe

    class Enough(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
            passed = time.perf_counter() - rows[0]["end"] if rows else 0
            self.model.stop_training = passed > ENOUGH_SECONDS

    started = time.perf_counter()
    batch_size = min(config.batch_size, max(32, BATCH_PIXELS // size**2))
    shape, number = (size, size, 3), BATCHES * batch_size
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, [number, *shape], np.uint8)
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
    split = pipeline.Split(images, np.arange(number) % 10)
    augment = choices.resolve_augmentation(config.augmentation, size)
    loop.fit(
        training_copy.freeze(training_copy.make(model), config.train),
        Recipe(epochs=1000, batch_size=batch_size),
        pipeline.TrainingData(split, {"test": split}, seed=0, augmentation=augment),
        lambda row: rows.append(row | {"end": time.perf_counter()}),
        callbacks=[Enough()],
    )
    trained = min(row["seconds"] for row in rows[1:])
    whole = min(b["end"] - a["end"] for a, b in itertools.pairwise(rows))
    preparation = rows[0]["end"] - started - whole
    return Cost(max(0.0, preparation), trained / number, (whole - trained) / number)


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
