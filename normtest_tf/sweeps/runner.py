"""Runs what remains, on any executor; a run whose worker is lost is begun again."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import math
import signal
import time
from collections.abc import Callable, Sequence

from normtest_tf import errors
from normtest_tf.runs import FailureRecord, ResultRecord, RunConfig, RunName, folder
from normtest_tf.sweeps import estimates, grid, local
from normtest_tf.sweeps.executor import Executor, Options, Outcome
from normtest_tf.sweeps.local import LocalExecutor
from normtest_tf.system import files, signals
from normtest_tf.text import Notify, duration

MAX_RESCHEDULES = 3  # Of a run; what kills a worker may be the run itself.
# How long a lost worker may keep its run's folder locked: systems notice late.
LOCK_SECONDS = 120.0
POLL_SECONDS = 0.5
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


@dataclasses.dataclass
class Tally:
    """How many runs of a sweep are in which state."""

    done: int = 0
    skipped: int = 0
    failed: int = 0
    elsewhere: int = 0  # Left to another process that was running them.


def run_all(
    configs: Sequence[RunConfig],
    notify: Notify,
    executor: Executor | None = None,
    reschedules: int = MAX_RESCHEDULES,
) -> Tally:
    """Runs what remains; failures are recorded, and the sweep continues.

    A run whose worker dies is begun again, from its last checkpoint.

    Args:
        configs: From `grid.grid`, checked by `grid.check`.
        notify: Called with a line before and after each run, and with notes on it;
            has to be picklable, since workers call it, too.
        executor: Where to run. Default: one worker process of this machine.
        reschedules: How often a run whose worker has died is begun again.

    Returns:
        How many runs were done, skipped, failed or left to others.

    Raises:
        UsageError: If a data set can't be loaded, or a finished run used other data
            or weights of the same name. Nothing has been written then.
        Interrupted: After SIGTERM or Ctrl-C.
    """
    waiting = [config for config in configs if grid.state(config) != "done"]
    tally = Tally(skipped=len(configs) - len(waiting))
    with executor or LocalExecutor() as executor:
        executor.check_inputs(configs, notify)
        results_dir = files.expand(configs[0].results_dir)
        folder.add_to_plan(results_dir, [config.name for config in configs])
        if waiting:
            _Sweep(waiting, executor, notify, tally, reschedules).run()
    return tally


@dataclasses.dataclass
class _Run:
    """A run that is not done.

    Attributes:
        config: The run.
        number: Its place in the sweep, counted from 1.
        record: Which `config.json` was in its folder when it was begun.
        losses: How often its worker died.
        lost_at: When that was last, by `time.monotonic`.
        not_before: When it may begin again, likewise.
    """

    config: RunConfig
    number: int
    record: tuple[int, int] | None = None
    losses: int = 0
    lost_at: float = 0.0
    not_before: float = 0.0

    @property
    def label(self) -> str:
        """Which run it is, for people."""
        config = self.config
        return f"{' '.join(config.name.cell)} {config.normalization} seed {config.seed}"

    def begin(self) -> None:
        """Notes what is in the folder before the run writes to it."""
        self.record = self._record()

    def waits_for_lock(self) -> bool:
        """Tells whether its lost worker may still lock the folder; it is to wait then.

        Systems notice late that a machine is gone.
        """
        now = time.monotonic()
        self.not_before = now + POLL_SECONDS
        return self.losses > 0 and now - self.lost_at < LOCK_SECONDS

    def lose(self) -> None:
        """Prepares to be begun again; `--overwrite` has had its effect if it began."""
        self.losses += 1
        self.lost_at, self.not_before = time.monotonic(), 0.0
        if self.config.overwrite and self._record() not in (None, self.record):
            self.config = dataclasses.replace(self.config, overwrite=False)

    def _record(self) -> tuple[int, int] | None:
        """Identifies the file `config.json`, which each start of a run replaces."""
        try:
            status = self.config.folder.config.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns


@dataclasses.dataclass(frozen=True)
class _Note:
    """A `notify` for the notes on one run.

    Attributes:
        notify: The sweep's.
        prefix: What a line begins with.
    """

    notify: Notify
    prefix: str

    def __call__(self, text: str) -> None:
        self.notify(f"{self.prefix}note: {text}")


class _Sweep:
    """Hands runs to an executor until none is left.

    Args:
        configs: The runs that are not done.
        executor: Where they run.
        notify: Called with lines for the user.
        tally: Is updated.
        reschedules: How often a run whose worker has died is begun again.
    """

    def __init__(
        self,
        configs: Sequence[RunConfig],
        executor: Executor,
        notify: Notify,
        tally: Tally,
        reschedules: int,
    ) -> None:
        first = tally.skipped + 1
        runs = [_Run(config, number) for number, config in enumerate(configs, first)]
        self._total = tally.skipped + len(runs)
        self._waiting = collections.deque(runs)
        self._running: dict[RunName, _Run] = {}
        self._executor = executor
        self._notify = notify
        self._tally = tally
        self._reschedules = reschedules
        self._clock = estimates.Clock(configs[0].results_dir)
        self._stopped: list[errors.Interrupted] = []
        self._overwrites = any(config.overwrite for config in configs)

    def run(self) -> None:
        """Runs what is waiting.

        Raises:
            Interrupted: After SIGTERM or Ctrl-C.
        """
        with signals.StopRequest() as stop:
            try:
                while self._running or self._waiting:
                    if stop.received is not None or self._stopped:
                        self._stop()
                        break
                    self._fill()
                    self._wait()
            except (errors.UsageError, errors.Interrupted):  # Nothing reads the output.
                self._stop()
                raise
            except BaseException:  # A second Ctrl-C, too: don't wait any longer.
                self._executor.kill()
                raise
        if stop.received is not None or self._stopped:
            raise self._interruption(stop.received)

    def _stop(self) -> None:
        """Stops what is running."""
        self._reschedules = 0
        self._executor.stop()
        while self._running:
            for ended in self._executor.wait(POLL_SECONDS):
                self._running.pop(ended.config.name)
                if isinstance(ended.outcome, errors.Interrupted):
                    self._stopped.append(ended.outcome)

    def _fill(self) -> None:
        """Begins runs until all slots are taken."""
        slots, now = self._executor.slots(), time.monotonic()
        ready = [run for run in self._waiting if run.not_before <= now]
        for run in ready[: max(0, slots - len(self._running))]:
            self._waiting.remove(run)
            if run.not_before == 0.0:  # Otherwise it has been announced.
                self._notify(self._headline(run, slots))
            run.begin()
            self._executor.start(run.config, _Note(self._notify, self._prefix(run)))
            self._clock.start(run.config)
            self._running[run.config.name] = run

    def _wait(self) -> None:
        """Waits for runs to end, and says how they did."""
        if not self._running:
            time.sleep(POLL_SECONDS)
            return
        for ended in self._executor.wait(POLL_SECONDS):
            run = self._running.pop(ended.config.name)
            self._clock.stop(run.config, ended.seconds)
            if (said := self._account_for(run, ended.outcome)) is not None:
                self._notify(f"{self._prefix(run)}{said}")

    def _account_for(self, run: _Run, outcome: Outcome) -> str | None:
        """Counts a run that has ended, or puts it back; describes the outcome."""
        if isinstance(outcome, ResultRecord):
            self._tally.done += 1
            accuracy = f"{outcome.final_test_accuracy:.2%} test accuracy"
            return f"{accuracy}, {duration(outcome.total_seconds)}"
        if isinstance(outcome, errors.Interrupted):
            self._stopped.append(outcome)
            return None
        if isinstance(outcome, errors.Locked):
            if run.waits_for_lock():
                self._waiting.appendleft(run)
                return None
            self._tally.elsewhere += 1
            return "another process is running it"
        if isinstance(outcome, errors.WorkerDied) and run.losses < self._reschedules:
            run.lose()
            self._waiting.appendleft(run)
            return f"{errors.one_line(outcome)}; the run will be resumed"
        _record_failure(run.config, outcome)
        self._tally.failed += 1
        return f"failed: {errors.one_line(outcome)}"

    def _prefix(self, run: _Run) -> str:
        """Returns what lines about a run begin with: its name, if it has company."""
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

    def _interruption(self, received: signal.Signals | None) -> errors.Interrupted:
        """Returns the error to end with, after all runs have stopped."""
        hints = [interruption.resume_hint for interruption in self._stopped]
        hint = "everything completed so far is kept"
        if len(hints) == 1:
            hint = hints[0]
        elif hints:
            again = "the same command" + " without --overwrite" * self._overwrites
            hint = f"{hint}; {again} resumes {len(hints)} runs"
        return errors.Interrupted(hint, received or self._stopped[0].number)


def _record_failure(config: RunConfig, error: errors.UsageError) -> None:
    """Writes the error to the run's folder, if that can be written."""
    if isinstance(error, errors.TrainingFailed):
        return  # The run itself has recorded it, with details.
    with contextlib.suppress(OSError):
        FailureRecord(errors.one_line(error)).write(config.folder)
