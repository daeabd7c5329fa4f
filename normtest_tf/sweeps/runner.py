"""Runs what remains, on any executor; restarts runs whose worker died."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Sequence

from normtest_tf import errors
from normtest_tf.runs import FailureRecord, ResultRecord, RunConfig, RunName, folder
from normtest_tf.sweeps import estimates, local, ray_cluster
from normtest_tf.sweeps.executor import Executor, Options, Outcome
from normtest_tf.system import files
from normtest_tf.text import Notify, duration

MAX_RESTARTS = 3  # Of a run; what kills a worker may be the run itself.
# How long a dead worker may keep its run's folder locked: systems notice late.
LOCK_SECONDS = 120.0
POLL_SECONDS = 0.5


EXECUTORS: dict[str, Callable[[Options], Executor]] = {
    "local": local.create,
    "ray": ray_cluster.RayExecutor,
}


@dataclasses.dataclass
class Tally:
    """How many runs of a sweep are in which state."""

    done: int = 0
    skipped: int = 0
    failed: int = 0
    elsewhere: int = 0  # Left to another process that was running them.


def run_all(
    configs: Sequence[RunConfig],
    notify: Notify,  # Workers call it, so it has to be picklable.
    executor: Executor | None = None,
) -> Tally:
    """Runs what remains; failures are recorded, and the sweep continues.

    A run whose worker dies is restarted, from its last checkpoint. The sweep itself may
    be killed at any moment: the same call resumes it. `configs` are from `grid.grid`,
    checked by `grid.check`. Raises `UsageError` before anything is written if a data
    set can't be loaded, or a finished run used other data or weights of the same name.
    """
    waiting = [config for config in configs if not config.is_done]
    tally = Tally(skipped=len(configs) - len(waiting))
    with executor or local.LocalExecutor() as executor:
        executor.check_inputs(configs, notify)
        results_dir = files.expand(configs[0].results_dir)
        folder.add_to_plan(results_dir, [config.name for config in configs])
        if waiting:
            _Sweep(waiting, executor, notify, tally).run()
    return tally


@dataclasses.dataclass
class _Run:
    """A run that is not done."""

    config: RunConfig
    number: int  # Its place in the sweep, counted from 1.
    record: tuple[int, int] | None = None  # Of `find_record`, before it started.
    losses: int = 0  # How often its worker died.
    lost_at: float = 0.0  # When that was last, by `time.monotonic`.
    not_before: float = 0.0  # When it may start again; 0 until it is announced.

    @property
    def label(self) -> str:
        """Which run it is, for people."""
        config = self.config
        return f"{' '.join(config.name.cell)} {config.normalization} seed {config.seed}"

    def waits_for_lock(self) -> bool:
        """Tells whether its dead worker may still lock the folder; postpones it."""
        now = time.monotonic()
        self.not_before = now + POLL_SECONDS
        return self.losses > 0 and now - self.lost_at < LOCK_SECONDS

    def lose(self) -> None:
        """Prepares a restart.

        Drops `--overwrite` once the run has started, or it would delete its own
        checkpoint.
        """
        self.losses += 1
        self.lost_at, self.not_before = time.monotonic(), 0.0
        if self.config.overwrite and self.find_record() not in (None, self.record):
            self.config = dataclasses.replace(self.config, overwrite=False)

    def find_record(self) -> tuple[int, int] | None:
        """Identifies the file `config.json`, which each start of a run replaces."""
        try:
            status = self.config.folder.config.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns


class _Sweep:
    """Hands runs to an executor until none is left; see `run_all`."""

    def __init__(
        self,
        configs: Sequence[RunConfig],
        executor: Executor,
        notify: Notify,
        tally: Tally,
    ) -> None:
        first = tally.skipped + 1
        runs = [_Run(config, number) for number, config in enumerate(configs, first)]
        self._total = tally.skipped + len(runs)
        self._waiting = collections.deque(runs)
        self._running: dict[RunName, _Run] = {}
        self._executor = executor
        self._notify = notify
        self._tally = tally
        measured = estimates.measured_seconds(configs[0].results_dir)
        self._clock = estimates.Clock(measured)

    def run(self) -> None:
        """Runs what is waiting."""
        while self._running or self._waiting:
            self._fill()
            if not self._running:
                time.sleep(POLL_SECONDS)
                continue
            for config, outcome in self._executor.wait(POLL_SECONDS):
                run = self._running.pop(config.name)
                self._clock.stop(config, getattr(outcome, "total_seconds", None))
                if (message := self._account_for(run, outcome)) is not None:
                    self._notify(f"{self._prefix(run)}{message}")

    def _fill(self) -> None:
        """Starts runs until all slots are taken."""
        slots, now = self._executor.slots(), time.monotonic()
        ready = [run for run in self._waiting if run.not_before <= now]
        for run in ready[: max(0, slots - len(self._running))]:
            self._waiting.remove(run)
            if run.not_before == 0.0:
                self._notify(self._headline(run, slots))
            run.record = run.find_record()
            note = functools.partial(_note, self._notify, self._prefix(run))
            self._executor.start(run.config, note)
            self._clock.start(run.config)
            self._running[run.config.name] = run

    def _account_for(self, run: _Run, outcome: Outcome) -> str | None:
        """Counts a run that has ended, or puts it back; describes the outcome."""
        if isinstance(outcome, ResultRecord):
            self._tally.done += 1
            accuracy = f"{outcome.final_test_accuracy:.2%} test accuracy"
            return f"{accuracy}, {duration(outcome.total_seconds)}"
        if isinstance(outcome, errors.Locked):
            if run.waits_for_lock():
                self._waiting.appendleft(run)
                return None
            self._tally.elsewhere += 1
            return "another process is running it"
        if isinstance(outcome, errors.WorkerDied) and run.losses < MAX_RESTARTS:
            run.lose()
            self._waiting.appendleft(run)
            return f"{errors.one_line(outcome)}; the run will be resumed"
        _record_failure(run.config, outcome)
        self._tally.failed += 1
        return f"failed: {errors.one_line(outcome)}"

    def _prefix(self, run: _Run) -> str:
        """Returns what lines about a run start with: its name, if it has company."""
        return "  " if self._executor.slots() == 1 else f"  {run.label}: "

    def _headline(self, run: _Run, slots: int) -> str:
        """Says which run is next, what is done, and how long the rest will take."""
        parts = [
            f"run {run.number}/{self._total}: {run.label}",
            f"{self._tally.skipped + self._tally.done} done",
        ]
        if self._tally.failed:
            parts.append(f"{self._tally.failed} failed")
        to_come = [run.config, *(other.config for other in self._waiting)]
        if (left := self._clock.left(to_come, slots)) is not None:
            parts.append(f"about {duration(left)} left")
        return " | ".join(parts)


def _note(notify: Notify, prefix: str, text: str) -> None:
    """Passes a note on one run on; workers get it, so it has to be picklable."""
    notify(f"{prefix}note: {text}")


def _record_failure(config: RunConfig, error: errors.UsageError) -> None:
    """Writes the error to the run's folder, if that can be written."""
    if isinstance(error, errors.TrainingFailed):
        return  # The run itself has recorded it, with details.
    with contextlib.suppress(OSError):
        FailureRecord(errors.one_line(error)).write(config.folder)
