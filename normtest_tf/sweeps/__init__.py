"""A grid of runs: which there are, which are done, and running the others.

`plan.json` in the results folder lists the runs that were asked for, so that a
report can tell what is missing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from normtest_tf import datasets, errors, runs
from normtest_tf.system import files, locks, workers

PLAN = "plan.json"
RUNS_A_PROCESS = 4  # More save a few seconds each, and hold more memory.


@dataclasses.dataclass
class Tally:
    """How many runs of a sweep are in which state."""

    done: int = 0
    skipped: int = 0
    failed: int = 0
    elsewhere: int = 0  # Left to another process that was running them.


def grid(
    base: runs.RunConfig,
    *,
    datasets: Sequence[str],
    models: Sequence[str],
    normalizations: Sequence[str],
    seeds: Sequence[int],
    weights: Mapping[str, str | None],
) -> list[runs.RunConfig]:
    """Returns the runs of a grid, in the order to run them in.

    Seeds change slowest, so that a sweep that is stopped early leaves complete
    pairs; settings change fastest.

    Args:
        base: The values that all runs share.
        datasets: Names of data sets.
        models: Names of models.
        normalizations: Names of settings.
        seeds: Seeds.
        weights: The weights of each model.

    Raises:
        UsageError: If a list is empty or names something twice.
    """
    for name, values in {
        "datasets": datasets,
        "models": models,
        "normalizations": normalizations,
        "seeds": seeds,
    }.items():
        if not values or len(set(values)) < len(values):
            raise errors.UsageError(
                f"--{name} takes a list without repetitions. "
                f"Received: {','.join(map(str, values))}"
            )
    return [
        dataclasses.replace(
            base,
            dataset=dataset,
            model=model,
            normalization=normalization,
            seed=seed,
            weights=weights[model],
        )
        for seed in seeds
        for dataset in datasets
        for model in models
        for normalization in normalizations
    ]


def check(configs: Sequence[runs.RunConfig]) -> None:
    """Checks all runs before the first one starts.

    Raises:
        UsageError: If one can't be run, if two share a folder, or if a folder
            holds a finished run of another configuration.
    """
    folders: dict[pathlib.Path, runs.RunConfig] = {}
    for config in configs:
        config.check()
        other = folders.setdefault(config.folder, config)
        if other is not config:
            raise errors.UsageError(
                f"{other.dataset} and {config.dataset} would both be written to "
                f"{config.folder}; give the folders different names"
            )
        if runs.is_finished(config.folder) and not config.overwrite:
            runs.check_same_request(config)
    files.check_writable(files.expand(configs[0].results_dir))


def write_plan(configs: Sequence[runs.RunConfig]) -> None:
    """Adds runs to the list of those that were asked for in a results folder."""
    results_dir = files.expand(configs[0].results_dir)
    with locks.only_writer(results_dir, wait=True):
        known = read_plan(results_dir)
        wanted = [_relative(config) for config in configs]
        new = [folder for folder in wanted if folder not in set(known)]
        if new:
            plan = {"format": runs.FORMAT, "runs": known + new}
            files.write_json(results_dir / PLAN, plan)


def read_plan(results_dir: pathlib.Path) -> list[str]:
    """Returns the run folders, relative to the results folder, that were planned.

    Raises:
        UsageError: If the plan is there but can't be read.
    """
    path = results_dir / PLAN
    if not path.exists():
        return []
    planned = runs.read_json(path).get("runs")
    if not isinstance(planned, list) or not all(isinstance(p, str) for p in planned):
        raise errors.UsageError(
            f"{path} does not list runs; remove it, and the next sweep writes it anew"
        )
    return planned


def _relative(config: runs.RunConfig) -> str:
    """Returns a run's folder as the plan has it, with slashes."""
    results_dir = files.expand(config.results_dir)
    return config.folder.relative_to(results_dir).as_posix()


def state(config: runs.RunConfig) -> str:
    """Returns `done`, `failed`, `interrupted` or `open`."""
    if runs.is_finished(config.folder) and not config.overwrite:
        return "done"
    if (config.folder / runs.FAILURE).exists():
        return "failed"
    return "interrupted" if (config.folder / "config.json").exists() else "open"


def run_all(
    configs: Sequence[runs.RunConfig], say: Callable[[str], None] = print
) -> Tally:
    """Runs what is not done; what fails is recorded, and the rest goes on.

    Runs take place in other processes, a few in each, since TensorFlow keeps the
    memory of every model that Keras has trained. A process that dies takes its run
    with it, and no other.

    Args:
        configs: From `grid`, checked by `check`.
        say: Called with a line before and after each run.

    Returns:
        How it went.

    Raises:
        UsageError: If a data set can't be loaded. Nothing has been written then.
        Interrupted: If SIGTERM or Ctrl-C asked to stop.
    """
    waiting = [config for config in configs if state(config) != "done"]
    tally = Tally(skipped=len(configs) - len(waiting))
    with workers.Worker() as worker:
        if waiting:
            worker.call(_load_all, waiting)
        write_plan(configs)
        for number, config in enumerate(waiting):
            if number and number % RUNS_A_PROCESS == 0:
                worker.renew()
            say(_headline(config, number, waiting, tally))
            say(f"  {_outcome(config, worker, tally)}")
    return tally


def _outcome(config: runs.RunConfig, worker: workers.Worker, tally: Tally) -> str:
    """Runs one run, counts it, and says how it went."""
    try:
        result = worker.call(_run, config)
    except errors.Locked:
        tally.elsewhere += 1
        return "another process is running it"
    except errors.UsageError as error:
        _record_failure(config, error)
        tally.failed += 1
        return f"failed: {errors.one_line(error)}"
    tally.done += 1
    return (
        f"{result['final_test_accuracy']:.2%} test accuracy, "
        f"{duration(result['total_seconds'])}"
    )


def _load_all(configs: Sequence[runs.RunConfig]) -> None:
    """Loads each data set, so that a missing one is seen before the first run."""
    for config in configs:
        _load(config.dataset, config.data_dir, config.image_size)


@functools.cache
def _load(
    name: str, data_dir: str | None, image_size: int | None
) -> datasets.ImageDataset:
    """Loads a data set once a process."""
    return datasets.load(name, data_dir, image_size)


def _run(config: runs.RunConfig) -> dict[str, Any]:
    """Runs one run; whatever goes wrong there, others can go on."""
    from normtest_tf.runs import finetuning

    dataset = _load(config.dataset, config.data_dir, config.image_size)
    try:
        return finetuning.run(config, dataset, epoch_lines=False)
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
    config: runs.RunConfig,
    number: int,
    waiting: Sequence[runs.RunConfig],
    tally: Tally,
) -> str:
    """Says which run is next, what is done, and how long the rest will take."""
    parts = [
        f"run {tally.skipped + number + 1}/{tally.skipped + len(waiting)}: "
        f"{config.dataset} {config.model} {config.normalization} seed {config.seed}",
        f"{tally.skipped + tally.done} done",
    ]
    if tally.failed:
        parts.append(f"{tally.failed} failed")
    left = seconds_left(waiting[number:], measured_seconds(config.results_dir))
    if left is not None:
        parts.append(f"about {duration(left)} left")
    return " | ".join(parts)


def _record_failure(config: runs.RunConfig, error: errors.UsageError) -> None:
    """Writes the error to the run's folder, if that can be written."""
    if isinstance(error, errors.TrainingFailed):
        return  # The run itself has recorded it, with details.
    record = {"format": runs.FORMAT, "error": errors.one_line(error)}
    with contextlib.suppress(OSError):
        files.write_json(config.folder / runs.FAILURE, record)


def measured_seconds(results_dir: str) -> dict[tuple[str, str], float]:
    """Returns the mean duration of the finished runs of each data set and model.

    Args:
        results_dir: The results folder.

    Returns:
        Seconds by the names of the data set's folder and of the model.
    """
    seconds: dict[tuple[str, str], list[float]] = {}
    folder = files.expand(results_dir)
    for path in folder.glob("*/*/seed-*/result.json"):
        dataset, setting = path.parts[-4:-2]
        value = runs.read_json(path).get("total_seconds")
        if isinstance(value, (int, float)):
            cell = dataset, setting.rpartition("-")[0]
            seconds.setdefault(cell, []).append(float(value))
    return {cell: statistics.fmean(values) for cell, values in seconds.items()}


def seconds_left(
    configs: Sequence[runs.RunConfig], measured: Mapping[tuple[str, str], float]
) -> float | None:
    """Estimates how long runs will take, from those that are done.

    Args:
        configs: The runs to come.
        measured: Seconds of a run by data set and model.

    Returns:
        Seconds; a data set and model of which none is done counts as the mean of
        the others. None if nothing is done yet.
    """
    if not measured:
        return None
    typical = statistics.fmean(measured.values())
    return sum(
        measured.get((datasets.slug(config.dataset), config.model), typical)
        for config in configs
    )


def duration(seconds: float) -> str:
    """Writes a duration as people do: `41 s`, `12 min`, `3 h 20 min`."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def plan_table(
    configs: Sequence[runs.RunConfig], seconds: Mapping[tuple[str, str], float]
) -> list[tuple[str, ...]]:
    """Returns the plan, a row for each data set and model, for people.

    Args:
        configs: The runs of the grid.
        seconds: Of a run, by data set and model.
    """
    cells: dict[tuple[str, str], list[runs.RunConfig]] = {}
    for config in configs:
        cells.setdefault((config.dataset, config.model), []).append(config)
    rows = [("data set", "model", "weights", "runs", "done", "to run", "a run", "all")]
    for (dataset, model), members in cells.items():
        to_run = sum(state(config) != "done" for config in members)
        each = seconds_left(members[:1], seconds) or 0.0
        rows.append(
            (
                dataset,
                model,
                _weights_name(members[0]),
                str(len(members)),
                str(len(members) - to_run),
                str(to_run),
                duration(each),
                duration(each * to_run),
            )
        )
    return rows


def _weights_name(config: runs.RunConfig) -> str:
    """Returns a tag, or the name of a file without its folder."""
    return pathlib.Path(config.source().label).name
