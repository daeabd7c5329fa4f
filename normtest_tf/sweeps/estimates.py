"""How long runs take, from those that are done."""

from __future__ import annotations

import statistics
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


def seconds_left(
    configs: Sequence[RunConfig], measured: Mapping[Cell, float]
) -> float | None:
    """Estimates how long runs will take, from those that are done.

    Args:
        configs: The runs to come.
        measured: Seconds of a run by cell.

    Returns:
        Seconds; a cell without a finished run counts as the mean of the others.
        None if nothing is done yet.
    """
    if not measured:
        return None
    typical = statistics.fmean(measured.values())
    return sum(measured.get(config.name.cell, typical) for config in configs)


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
