"""What a sweep needs from whatever executes its runs, and what its workers do."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import functools
import gc
import sys
import threading
from collections.abc import Collection, Sequence
from typing import TypeAlias

from normtest_tf import datasets, errors
from normtest_tf.runs import ResultRecord, RunConfig, record
from normtest_tf.system import keras_setup
from normtest_tf.text import Notify, ignore

GRAPHS_PER_WORKER = 4  # More would save a few seconds, but use more memory.
Outcome: TypeAlias = ResultRecord | errors.UsageError
_LEAST = 0.001  # Of a GPU; Ray counts in steps of 0.0001.


@dataclasses.dataclass(frozen=True)
class Options:
    """How runs share machines; None for an executor's default."""

    gpus_per_run: float | None = None  # A fraction: several runs share one.
    cpus_per_run: float | None = None
    runs_at_a_time: int | None = None
    address: str | None = None  # Of a cluster.

    def __post_init__(self) -> None:
        gpus = self.gpus_per_run or 0
        if not (gpus % 1 == 0 or _LEAST <= gpus < 1):
            raise errors.UsageError(
                f"--gpus_per_run takes a whole number, or a fraction from {_LEAST:g} "
                f"for runs that share a GPU. Received: {gpus:g}"
            )


class Executor(contextlib.AbstractContextManager["Executor"]):
    """Executes runs in slots: processes of this machine, or of others.

    Use it in a `with` statement; leaving it ends what is still running, which loses
    nothing but the time since the last checkpoint.
    """

    @abc.abstractmethod
    def __exit__(self, *_: object) -> None:
        """Ends all runs and frees what it holds."""

    @abc.abstractmethod
    def slots(self) -> int:
        """Returns how many runs it can execute at a time, which may change."""

    @abc.abstractmethod
    def start(self, config: RunConfig, notify: Notify) -> None:
        """Starts a run, where fewer than `slots` runs are; `notify` can be pickled."""

    @abc.abstractmethod
    def wait(self, seconds: float) -> list[tuple[RunConfig, Outcome]]:
        """Waits for runs to end, for some seconds; returns each with its outcome.

        That is `WorkerDied` if its process or machine is gone.
        """

    @abc.abstractmethod
    def check_inputs(self, configs: Sequence[RunConfig], notify: Notify) -> None:
        """Checks on this machine what all runs read; see the function."""


def check_inputs(configs: Sequence[RunConfig], notify: Notify) -> None:
    """Loads each data set, and checks that finished runs used it and their weights.

    So what is missing is noticed before the first run.
    """
    _import_tensorflow()
    for config in sorted(configs, key=lambda one: (one.dataset, one.reading.shift)):
        whole = _load_unshifted(config, lambda note: notify(f"note: {note}"))
        if config.is_done:
            record.finished_result(config, config.subset_of(load(config)))
        else:
            config.subset_of(whole)


notes_said: set[str] = set()  # In this sweep, by this process and its predecessors.


def execute(
    config: RunConfig, notify: Notify, said: Collection[str] = ()
) -> ResultRecord:
    """Executes one run; any failure becomes an error that can cross processes.

    A run that starts afresh does not repeat what earlier ones have `said`.
    """
    notes_said.update(said)
    is_new = config.overwrite or not config.folder.is_started()

    def notify_once(note: str) -> None:
        if not (is_new and note in notes_said):
            notes_said.add(note)
            notify(note)

    def show_device(line: str) -> None:
        if line.startswith("device: "):  # The others are of epochs.
            notify_once(line)

    try:
        _import_tensorflow()
        from normtest_tf.runs import finetuning

        return finetuning.run(
            config, load(config), notify=notify_once, show_epoch=show_device
        )
    except (errors.UsageError, BrokenPipeError):  # Nobody reads the output any more.
        raise
    except Exception as error:
        # Not every exception can be sent to another process.
        raise errors.UsageError(
            f"{type(error).__name__}: {errors.one_line(error)}"
        ) from None
    finally:
        sys.stdout.flush()


def leaked_graphs() -> tuple[int, set[str]]:
    """Returns how many graphs this process has traced to train, and its notes."""
    from normtest_tf.training import training_copy

    return len(training_copy.traced), notes_said


def has_hidden_gpu() -> bool:
    """Tells whether this process's backend can't see the machine's GPU."""
    from normtest_tf.training import environment

    return environment.has_hidden_gpu()


@functools.cache
def _import_tensorflow() -> None:
    """Imports TensorFlow, without warnings about what ends with the process."""
    keras_setup.import_tensorflow()
    import tensorflow as tf
    import tqdm

    tf.get_logger().setLevel("ERROR")  # Of leaked graphs.
    tqdm.tqdm.set_lock(threading.RLock())  # Its own is a semaphore of the system.
    gc.freeze()  # Libraries stay: looking through them for garbage takes a while.


_loaded: dict[tuple[str, datasets.ReadingOptions], datasets.ImageDataset] = {}
# The latest shifted one alone: a sweep may have many shifts of one data set.
_shifted: dict[tuple[str, datasets.ReadingOptions], datasets.ImageDataset] = {}


def load(config: RunConfig) -> datasets.ImageDataset:
    """Returns a run's data set; consecutive runs with one shift share its images."""
    key = (config.dataset, config.reading)
    if key not in _shifted:
        _shifted.clear()
        _shifted[key] = _load_unshifted(config).shifted(key[1].shift)
    return _shifted[key]


def _load_unshifted(
    config: RunConfig, notify: Notify = ignore
) -> datasets.ImageDataset:
    """Loads a run's data set as it is without a shift, once per process."""
    key = (config.dataset, dataclasses.replace(config.reading, shift=datasets.NO_SHIFT))
    if key not in _loaded:
        _loaded[key] = datasets.load(*key, notify)
    return _loaded[key]
