"""What a sweep needs from whatever executes its runs."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

from normtest_tf import errors
from normtest_tf.runs import ResultRecord, RunConfig
from normtest_tf.sweeps import execution
from normtest_tf.system import workers
from normtest_tf.text import Notify

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
            UsageError: See `execution.check_inputs`.
            Interrupted: After SIGTERM or Ctrl-C.
        """
        with workers.Worker() as worker:
            worker.call(execution.check_inputs, configs, notify)

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
