"""What executes the runs of a sweep, and where.

    executor        what a sweep needs from an executor
    local           worker processes of this machine, one for each GPU
    gpus            the GPUs of this machine
    ray_cluster     the nodes of a Ray cluster, from the process that runs the sweep
    ray_connection  connecting to it, and what its nodes have room for
    ray_slot        a slot on one of them, where runs are executed
    gathering       the files of a run, sent from one machine to another

Importing this package imports neither TensorFlow nor Ray.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from normtest_tf import errors
from normtest_tf.sweeps.executors import local
from normtest_tf.sweeps.executors.executor import Ended, Executor, Options, Outcome
from normtest_tf.sweeps.executors.local import LocalExecutor

__all__ = [
    "EXECUTORS",
    "Ended",
    "Executor",
    "LocalExecutor",
    "Options",
    "Outcome",
    "create",
]

_LEAST = 0.001  # Of a GPU or CPU; Ray counts in steps of 0.0001.


def _ray(options: Options) -> Executor:
    from normtest_tf.sweeps.executors import ray_cluster

    return ray_cluster.create(options)


EXECUTORS: dict[str, Callable[[Options], Executor]] = {
    "local": local.create,
    "ray": _ray,
}


def create(name: str, options: Options) -> Executor:
    """Returns the executor of a name.

    Args:
        name: One of `EXECUTORS`.
        options: How runs share machines.

    Raises:
        UsageError: If an option can't be satisfied, or something is not installed.
    """
    gpus, cpus = options.gpus_per_run, options.cpus_per_run
    if gpus is not None and not (_is_amount(gpus) and (gpus < 1 or gpus % 1 == 0)):
        raise errors.UsageError(
            f"--gpus_per_run takes a whole number, or a fraction from {_LEAST:g} for "
            f"runs that share a GPU. Received: {gpus:g}"
        )
    if cpus is not None and not _is_amount(cpus):
        raise errors.UsageError(
            f"--cpus_per_run takes 0, or a number from {_LEAST:g}. Received: {cpus:g}"
        )
    return EXECUTORS[name](options)


def _is_amount(number: float) -> bool:
    """Tells whether a run can occupy so much; comparisons with NaN are false."""
    return number == 0 or (number >= _LEAST and math.isfinite(number))
