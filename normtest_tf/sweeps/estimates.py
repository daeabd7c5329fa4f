"""How long runs take, from those that are done."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence

from normtest_tf.runs import Cell, ResultRecord, RunConfig, RunName, folder
from normtest_tf.sweeps import grid
from normtest_tf.system import files
from normtest_tf.text import duration


def measured_seconds(results_dir: str) -> dict[Cell, float]:
    """Returns the mean duration of the finished runs of each cell.

    Args:
        results_dir: The results folder.

    Returns:
        Seconds by cell.

    Raises:
        UsageError: If a finished run's result can't be read.
    """
    seconds: dict[Cell, list[float]] = {}
    for run in folder.find(files.expand(results_dir)):
        if run.is_finished():
            value = ResultRecord.read(run).total_seconds
            seconds.setdefault(RunName.parse(run.path).cell, []).append(value)
    return {key: statistics.fmean(values) for key, values in seconds.items()}


class Clock:
    """Estimates how long a sweep will take, from runs that are done.

    Args:
        results_dir: The results folder; its finished runs are read once.
    """

    def __init__(self, results_dir: str) -> None:
        self._seconds = {
            cell: [mean] for cell, mean in measured_seconds(results_dir).items()
        }
        self._started: dict[RunName, float] = {}

    def start(self, config: RunConfig) -> None:
        """Notes that a run begins."""
        self._started[config.name] = time.monotonic()

    def stop(self, config: RunConfig, seconds: float | None = None) -> None:
        """Notes that a run has ended.

        Args:
            config: The run.
            seconds: How long all of it took; None if it did not finish.
        """
        del self._started[config.name]
        if seconds is not None:
            self._seconds.setdefault(config.name.cell, []).append(seconds)

    def left(self, waiting: Sequence[RunConfig], slots: int) -> float | None:
        """Returns the seconds that are left; None if nothing is done yet.

        Args:
            waiting: The runs to come, without those that have begun.
            slots: How many runs are executed at a time.
        """
        measured = {cell: statistics.fmean(all) for cell, all in self._seconds.items()}
        now = time.monotonic()
        begun = {name: now - then for name, then in self._started.items()}
        names = [*begun, *(config.name for config in waiting)]
        return seconds_left(names, measured, slots, begun)


def seconds_left(
    names: Sequence[RunName],
    measured: Mapping[Cell, float],
    slots: int = 1,
    begun: Mapping[RunName, float] | None = None,
) -> float | None:
    """Estimates how long runs will take, from those that are done.

    Args:
        names: The runs that are not done.
        measured: Seconds of a run by cell.
        slots: How many runs are executed at a time.
        begun: For how many seconds runs have been executed.

    Returns:
        Seconds; a cell without a finished run counts as the mean of the others.
        None if nothing is done yet.
    """
    if not measured:
        return None
    typical = statistics.fmean(measured.values())
    begun = begun or {}
    each = [
        max(0.0, measured.get(name.cell, typical) - begun.get(name, 0.0))
        for name in names
    ]
    # However many slots there are, a run occupies one.
    return max(sum(each) / slots, max(each, default=0.0))


def plan_table(
    configs: Sequence[RunConfig], seconds: Mapping[Cell, float]
) -> list[tuple[str, ...]]:
    """Returns the plan of a sweep, one row per cell under a header.

    Args:
        configs: The runs of the grid.
        seconds: Of a run, by cell.
    """
    cells: dict[Cell, list[RunConfig]] = {}
    for config in configs:
        cells.setdefault(config.name.cell, []).append(config)
    header = ("data set", "model", "weights", "runs", "done", "to run", "a run", "all")
    return [header, *(_plan_row(members, seconds) for members in cells.values())]


def _plan_row(
    members: Sequence[RunConfig], seconds: Mapping[Cell, float]
) -> tuple[str, ...]:
    first = members[0]
    to_run = sum(grid.state(config) != "done" for config in members)
    each = seconds[first.name.cell]
    return (
        *first.name.cell,
        first.resolved.network.label,
        str(len(members)),
        str(len(members) - to_run),
        str(to_run),
        duration(each),
        duration(each * to_run),
    )
