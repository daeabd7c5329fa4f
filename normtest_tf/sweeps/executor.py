"""What a sweep needs from whatever executes its runs, and what its workers do."""

from __future__ import annotations

import abc
import dataclasses
import sys
from collections.abc import Sequence
from typing import TypeAlias

from normtest_tf import datasets, errors
from normtest_tf.datasets import shifts
from normtest_tf.runs import ResultRecord, RunConfig, identity
from normtest_tf.sweeps import grid
from normtest_tf.system import workers
from normtest_tf.text import Notify, ignore

RUNS_PER_WORKER = 4  # More would save a few seconds per run, but use more memory.
Outcome: TypeAlias = ResultRecord | errors.UsageError | errors.Interrupted


@dataclasses.dataclass(frozen=True)
class Options:
    """How runs share machines; a value that an executor can't use is refused.

    Attributes:
        gpus_per_run: GPUs of a run; several runs share one where it is a fraction.
            None for one where there are any.
        cpus_per_run: CPUs of a run; None for the executor's default.
        runs_at_a_time: How many runs to execute at once; None for as many as there
            are GPUs, or nodes to take them.
        address: Of a cluster.
        gather: Whether results are sent to this process even from machines that
            see the results folder.
    """

    gpus_per_run: float | None = None
    cpus_per_run: float | None = None
    runs_at_a_time: int | None = None
    address: str | None = None
    gather: bool = False


@dataclasses.dataclass(frozen=True)
class Ended:
    """A run that no longer occupies a slot.

    Attributes:
        config: The run, as it was passed to `start`.
        outcome: Its result, or why there is none: `WorkerDied` if its process or
            machine is gone, `Interrupted` if it was stopped.
    """

    config: RunConfig
    outcome: Outcome

    @property
    def seconds(self) -> float | None:
        """How long the run took, with interruptions; None if it is not finished."""
        if isinstance(self.outcome, ResultRecord):
            return self.outcome.total_seconds
        return None


class Executor(abc.ABC):
    """Executes runs in slots: processes of this machine, or of others.

    Every method is called in the main thread. Use it in a `with` statement.
    """

    def __enter__(self) -> Executor:
        """Returns itself."""
        return self

    @abc.abstractmethod
    def __exit__(self, *_: object) -> None:
        """Frees what it holds; no run is being executed any more."""

    def check_inputs(self, configs: Sequence[RunConfig], notify: Notify) -> None:
        """Checks on this machine, before the first run, what all runs read.

        Raises:
            UsageError: See `check_inputs`.
            Interrupted: After SIGTERM or Ctrl-C.
        """
        with workers.Worker() as worker:
            worker.call(check_inputs, configs, notify)

    @abc.abstractmethod
    def slots(self) -> int:
        """Returns how many runs it can execute at a time, which may change."""

    @abc.abstractmethod
    def start(self, config: RunConfig, notify: Notify) -> None:
        """Begins a run, where fewer than `slots` runs are being executed.

        Args:
            config: The run; one that was begun before resumes from its folder.
            notify: Called with notes on it; has to be picklable.
        """

    @abc.abstractmethod
    def wait(self, seconds: float) -> list[Ended]:
        """Waits until runs end, or for some time.

        Args:
            seconds: How long to wait at most.

        Returns:
            The runs that have ended.
        """

    @abc.abstractmethod
    def stop(self) -> None:
        """Asks all runs to stop where they can resume; `wait` returns them."""

    @abc.abstractmethod
    def kill(self) -> None:
        """Ends all runs at once."""


_loaded: dict[tuple[str, datasets.ReadingOptions], datasets.ImageDataset] = {}
# The latest shifted one alone: a sweep may have many shifts of one data set.
_shifted: dict[tuple[str, datasets.ReadingOptions], datasets.ImageDataset] = {}


def check_inputs(configs: Sequence[RunConfig], notify: Notify) -> None:
    """Loads each data set, and checks that finished runs used it and their weights.

    Thus missing data are noticed before the first run. Each data set and weights file
    is digested once.

    Args:
        configs: All runs of a sweep.
        notify: Called with notes on the data.

    Raises:
        UsageError: If a data set can't be loaded, or a finished run used other data
            or weights of the same name.
    """
    for config in sorted(configs, key=lambda one: (one.dataset, one.reading.shift)):
        _load_unshifted(config, lambda note: notify(f"note: {note}"))
        if grid.state(config) == "done":
            images = _load(config).take(
                config.train_examples, config.test_examples, config.examples_per_class
            )
            identity.finished_result(config, images)


def execute(config: RunConfig, notify: Notify) -> ResultRecord:
    """Executes one run; any failure becomes an error that can cross processes.

    Args:
        config: The run.
        notify: Called with notes on it.

    Raises:
        UsageError: If it fails.
        Interrupted: After SIGTERM or Ctrl-C.
    """
    from normtest_tf.runs import finetuning

    try:
        return finetuning.run(config, _load(config), notify=notify)
    except errors.UsageError:
        raise
    except Exception as error:
        # Not every exception can be sent to another process.
        raise errors.UsageError(
            f"{type(error).__name__}: {errors.one_line(error)}"
        ) from None
    finally:
        sys.stdout.flush()


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
