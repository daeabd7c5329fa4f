"""Runs what remains, one run after another, in worker processes."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Sequence

from normtest_tf import datasets, errors
from normtest_tf.datasets import shifts
from normtest_tf.runs import FailureRecord, ResultRecord, RunConfig, identity, plan
from normtest_tf.sweeps import estimates, grid
from normtest_tf.system import files, workers
from normtest_tf.text import Notify, duration, ignore

RUNS_PER_WORKER = 4  # More would save a few seconds per run, but use more memory.
_loaded: dict[tuple[str, datasets.ReadingOptions], datasets.ImageDataset] = {}
# The latest shifted one alone: a sweep may have many shifts of one data set.
_shifted: dict[tuple[str, datasets.ReadingOptions], datasets.ImageDataset] = {}


@dataclasses.dataclass
class Tally:
    """How many runs of a sweep are in which state."""

    done: int = 0
    skipped: int = 0
    failed: int = 0
    elsewhere: int = 0  # Left to another process that was running them.


def run_all(configs: Sequence[RunConfig], notify: Notify) -> Tally:
    """Runs what remains; failures are recorded, and the sweep continues.

    TensorFlow leaks the graph of every trained model, so runs execute in worker
    processes, a few in each; a crash costs one run.

    Args:
        configs: From `grid.grid`, checked by `grid.check`.
        notify: Called with a line before and after each run, and with notes on it;
            has to be picklable, since workers call it, too.

    Returns:
        How many runs were done, skipped, failed or left to others.

    Raises:
        UsageError: If a data set can't be loaded, or a finished run used other data
            or weights of the same name. Nothing has been written then.
        Interrupted: After SIGTERM or Ctrl-C.
    """
    waiting = [config for config in configs if grid.state(config) != "done"]
    tally = Tally(skipped=len(configs) - len(waiting))
    with workers.Worker() as worker:
        worker.call(_check_inputs, configs, notify)
        results_dir = files.expand(configs[0].results_dir)
        plan.add(results_dir, [config.name for config in configs])
        for number, config in enumerate(waiting):
            if number and number % RUNS_PER_WORKER == 0:
                worker.renew()
            notify(_headline(waiting[number:], number, len(waiting), tally))
            notify(f"  {_outcome(config, worker, tally, notify)}")
    return tally


def _outcome(
    config: RunConfig, worker: workers.Worker, tally: Tally, notify: Notify
) -> str:
    """Executes one run, counts it and describes the outcome."""
    try:
        result = worker.call(_run, config, notify)
    except errors.Locked:
        tally.elsewhere += 1
        return "another process is running it"
    except errors.UsageError as error:
        _record_failure(config, error)
        tally.failed += 1
        return f"failed: {errors.one_line(error)}"
    tally.done += 1
    return (
        f"{result.final_test_accuracy:.2%} test accuracy, "
        f"{duration(result.total_seconds)}"
    )


def _check_inputs(configs: Sequence[RunConfig], notify: Notify) -> None:
    """Loads each data set, and checks that finished runs used it and their weights.

    Thus missing data are noticed before the first run. Each data set and weights file
    is digested once.
    """
    for config in sorted(configs, key=lambda one: (one.dataset, one.reading.shift)):
        _load_unshifted(config, lambda note: notify(f"note: {note}"))
        if grid.state(config) == "done":
            images = _load(config).take(
                config.train_examples, config.test_examples, config.examples_per_class
            )
            identity.finished_result(config, images)


def _load(config: RunConfig) -> datasets.ImageDataset:
    """Returns a run's data set; consecutive runs with one shift share its images."""
    key = (config.dataset, config.reading)
    if key not in _shifted:
        _shifted.clear()
        _shifted[key] = datasets.shifted(_load_unshifted(config), key[1].shift)
    return _shifted[key]


def _load_unshifted(
    config: RunConfig, notify: Notify = ignore
) -> datasets.ImageDataset:
    """Loads a run's data set as it is without a shift, once per process."""
    options = dataclasses.replace(config.reading, shift=shifts.NONE)
    key = (config.dataset, options)
    if key not in _loaded:
        _loaded[key] = datasets.load(*key, notify)
    return _loaded[key]


def _run(config: RunConfig, notify: Notify) -> ResultRecord:
    """Executes one run; any failure becomes an error that can cross processes."""
    from normtest_tf.runs import finetuning

    dataset = _load(config)
    try:
        return finetuning.run(
            config, dataset, notify=lambda text: notify(f"  note: {text}")
        )
    except errors.UsageError:
        raise
    except Exception as error:
        # Not every exception can be sent to another process.
        raise errors.UsageError(
            f"{type(error).__name__}: {errors.one_line(error)}"
        ) from None
    finally:
        sys.stdout.flush()


def _headline(
    waiting: Sequence[RunConfig], number: int, total: int, tally: Tally
) -> str:
    """Says which run is next, what is done, and how long the rest will take.

    Args:
        waiting: The runs to come, the next one first.
        number: How many have been tried.
        total: How many there were to run.
        tally: How it went so far.
    """
    config = waiting[0]
    parts = [
        f"run {tally.skipped + number + 1}/{tally.skipped + total}: "
        f"{' '.join(config.name.cell)} {config.normalization} seed {config.seed}",
        f"{tally.skipped + tally.done} done",
    ]
    if tally.failed:
        parts.append(f"{tally.failed} failed")
    measured = estimates.measured_seconds(config.results_dir)
    left = estimates.seconds_left(waiting, measured)
    if left is not None:
        parts.append(f"about {duration(left)} left")
    return " | ".join(parts)


def _record_failure(config: RunConfig, error: errors.UsageError) -> None:
    """Writes the error to the run's folder, if that can be written."""
    if isinstance(error, errors.TrainingFailed):
        return  # The run itself has recorded it, with details.
    with contextlib.suppress(OSError):
        FailureRecord(errors.one_line(error)).write(config.folder)
