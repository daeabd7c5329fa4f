"""What worker processes of a sweep do: check the inputs, and execute runs."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

from normtest_tf import datasets, errors
from normtest_tf.datasets import shifts
from normtest_tf.runs import ResultRecord, RunConfig, identity
from normtest_tf.sweeps import grid
from normtest_tf.text import Notify, ignore

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
