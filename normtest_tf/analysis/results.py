"""A results folder read back: its finished and its missing runs."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from normtest_tf import errors
from normtest_tf.backbones.model_files import PREFIX
from normtest_tf.backbones.registry import ARCHITECTURES, LIST_MODELS
from normtest_tf.datasets import DATASETS
from normtest_tf.normalization import SETTINGS, Setting
from normtest_tf.runs import (
    RULES,
    Cell,
    ConfigRecord,
    FailureRecord,
    ResultRecord,
    Rule,
    RunFolder,
    RunName,
    folder,
    history,
)
from normtest_tf.runs.folder import REPAIR
from normtest_tf.training import EpochRow

# Runs of a cell may differ in these and still be compared.
_FREE = ("normalization", "seed", "keep")


@dataclasses.dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes:
        name: Data set, model, setting and seed.
        config: What `config.json` holds.
        result: What `result.json` holds.
        history: What `history.csv` holds, one row per epoch.
    """

    name: RunName
    config: ConfigRecord
    result: ResultRecord
    history: list[EpochRow]

    @property
    def cell(self) -> Cell:
        """The data set and the model."""
        return self.name.cell

    @property
    def setting(self) -> Setting:
        """How the inputs were normalised."""
        return SETTINGS[self.name.normalization]


@dataclasses.dataclass(frozen=True)
class Results:
    """All runs of a results folder.

    Attributes:
        runs: The finished ones, sorted by data set, model, setting and seed.
        missing: Why each other run is missing, by its path within the results folder:
            `not run`, `interrupted`, or `failed: ` and the error.
    """

    runs: list[Run]
    missing: dict[str, str]

    @functools.cached_property
    def _by_cell(self) -> dict[Cell, list[Run]]:
        """The runs of each cell: a report asks for them thousands of times."""
        found: dict[Cell, list[Run]] = {}
        for run in self.runs:
            found.setdefault(run.cell, []).append(run)
        return found

    @property
    def cells(self) -> list[Cell]:
        """Data sets and models, in the order of the runs."""
        return list(self._by_cell)

    @property
    def settings(self) -> list[str]:
        """The names of the settings that were run, in the registry's order."""
        found = {run.name.normalization for run in self.runs}
        return [name for name in SETTINGS if name in found]

    def runs_of(self, cell: Cell, setting: str | None = None) -> list[Run]:
        """Returns a cell's runs, of one setting or of all."""
        return [
            run
            for run in self._by_cell.get(cell, [])
            if setting in (None, run.name.normalization)
        ]

    def accuracies(self, cell: Cell, setting: str, rule: Rule) -> dict[int, float]:
        """Returns test accuracies, 0 to 1, by seed.

        Runs to which the rule can't be applied are left out.
        """
        values = {
            run.name.seed: run.result.test_accuracy(rule)
            for run in self.runs_of(cell, setting)
        }
        return {seed: value for seed, value in values.items() if value is not None}

    def paired_differences(
        self, cell: Cell, treatment: str, control: str, rule: Rule
    ) -> dict[int, float]:
        """Returns `treatment - control` in percentage points, by seed.

        Seeds that lack one of the two runs are left out.
        """
        treated = self.accuracies(cell, treatment, rule)
        controls = self.accuracies(cell, control, rule)
        return {
            # Accuracies are ratios of counts; rounding removes binary noise.
            seed: round(100 * (treated[seed] - controls[seed]), 9)
            for seed in treated
            if seed in controls
        }

    def accuracy_by_epoch(self, cell: Cell, setting: str) -> np.ndarray:
        """Returns test accuracy, 0 to 1, float `[seeds, epochs]`."""
        return np.array(
            [
                [row["test_accuracy"] for row in run.history]
                for run in self.runs_of(cell, setting)
            ]
        )


def read(
    results_dir: pathlib.Path, names: Collection[RunName] | None = None
) -> Results:
    """Reads the runs of a results folder.

    Args:
        results_dir: As `--results_dir` of a run or a sweep.
        names: The runs to read, as if there were no others. Default: all of them;
            those that were planned or would complete the grid count as missing.

    Returns:
        The finished and the missing runs.

    Raises:
        UsageError: If there is no finished run, if a file can't be read, if a run's
            files contradict each other or the folder's name, if one is a copy of
            another, or if runs of a cell differ in more than setting and seed.
    """
    if not os.path.isdir(results_dir):  # The method raises for overlong names.
        raise errors.UsageError(
            f"--results_dir={results_dir} is not a folder; experiments.sweep creates "
            "one"
        )
    folders = _folders(results_dir, names)
    if names is None:
        _check_folder_names(results_dir)
    finished = [found for found in folders if found.is_finished()]
    if not finished:
        raise errors.UsageError(
            f"{results_dir} holds no finished run; experiments.sweep and "
            "experiments.train write them"
        )
    by_folder = {found: _read_run(found) for found in finished}
    check_no_copies({k: run.history for k, run in by_folder.items()})
    runs = sorted(by_folder.values(), key=_order)
    _check_comparable(runs)
    if names is None:
        expected = {*folder.read_plan(results_dir), *_whole_grid(runs)}
    else:
        expected = set(map(str, names))
    return Results(runs, _missing(results_dir, folders, expected))


def has_finished_run(results_dir: pathlib.Path) -> bool:
    """Tells whether a folder holds a finished run, or any run under another name.

    The latter has a folder that is not named as runs are; `read` refuses it.
    """
    return os.path.isdir(results_dir) and (
        any(found.is_finished() for found in folder.find(results_dir))
        or bool(folder.find_misnamed(results_dir))
    )


def _check_folder_names(results_dir: pathlib.Path) -> None:
    """Raises `UsageError` if a run's folder has another name than runs have."""
    if misnamed := folder.find_misnamed(results_dir):
        raise errors.UsageError(
            f"{misnamed[0]} holds a run, but is not named seed-NUMBER: is it a copy? "
            "Restore its name, delete it, or move it out of the results folder"
        )


def _folders(
    results_dir: pathlib.Path, names: Collection[RunName] | None
) -> list[RunFolder]:
    found = folder.find(results_dir)
    if names is None:
        return found
    paths = {results_dir / str(name) for name in names}
    return [run_folder for run_folder in found if run_folder.path in paths]


def _read_run(run_folder: RunFolder) -> Run:
    """Reads a finished run's three files, which must agree."""
    name = RunName.parse(run_folder.path)
    config = ConfigRecord.read(run_folder)
    check_names(run_folder, name, config)
    result = ResultRecord.read(run_folder)
    rows = history.read(run_folder.history)
    check_history(run_folder, config, result, rows)
    return Run(name, config, result, rows)


def _order(run: Run) -> tuple[Cell, int, int]:
    """Sorts runs the way tables list them: by cell, setting (registry) and seed."""
    return run.cell, list(SETTINGS).index(run.name.normalization), run.name.seed


def _check_comparable(runs: Sequence[Run]) -> None:
    """Raises `UsageError` if runs of a cell differ in more than setting and seed."""
    firsts: dict[Cell, Run] = {}
    for run in runs:
        first = firsts.setdefault(run.cell, run)
        ours, theirs = _recipe(run), _recipe(first)
        changed = sorted(
            f"{name}: {theirs.get(name)} and {ours.get(name)}"
            for name in ours.keys() | theirs.keys()
            if ours.get(name) != theirs.get(name)
        )
        if changed:
            raise errors.UsageError(
                f"runs of {run.cell.model} on {run.cell.dataset} can't be compared, "
                f"{first.name.normalization} seed {first.name.seed} with "
                f"{run.name.normalization} seed {run.name.seed}: {'; '.join(changed)}. "
                "Keep them in separate results folders"
            )


def _recipe(run: Run) -> dict[str, Any]:
    """Returns what all runs of a cell must share."""
    requested = {k: v for k, v in run.config.requested.items() if k not in _FREE}
    return requested | {
        "data_fingerprint": run.config.data_fingerprint,
        "weights_sha256": run.config.resolved.weights_sha256,
        "precision": run.config.resolved.precision,
        "augmentation": run.config.resolved.augmentation,
        "padding": run.config.resolved.padding,
        "own_statistics": run.config.resolved.own_statistics,
        "backend": run.config.environment.get("backend"),
    }


def _missing(
    results_dir: pathlib.Path, folders: Sequence[RunFolder], expected: set[str]
) -> dict[str, str]:
    """Returns why the runs that were begun or expected are not finished, by path."""
    begun = {
        found.path.relative_to(results_dir).as_posix(): found.is_finished()
        for found in folders
    }
    return {
        path: _why(RunFolder(results_dir / path), path in begun)
        for path in sorted(begun.keys() | expected)
        if not begun.get(path)
    }


def _whole_grid(runs: Sequence[Run]) -> set[str]:
    """Returns the paths of each cell's settings crossed with its seeds."""
    settings: dict[Cell, set[str]] = {}
    seeds: dict[Cell, set[int]] = {}
    for run in runs:
        settings.setdefault(run.cell, set()).add(run.name.normalization)
        seeds.setdefault(run.cell, set()).add(run.name.seed)
    return {
        str(RunName(*cell, setting, seed))
        for cell in settings
        for setting in settings[cell]
        for seed in seeds[cell]
    }


def _why(run_folder: RunFolder, is_begun: bool) -> str:
    """Says why a run is not finished."""
    if os.path.isfile(run_folder.failure):  # `Path.is_file` would raise.
        return f"failed: {FailureRecord.read(run_folder).error}"
    return "interrupted" if is_begun else "not run"


def check_rule(results: Results, rule: Rule) -> None:
    """Checks that a rule for choosing an epoch can be applied to all runs.

    Raises:
        UsageError: If it can't; the message names the first such run.
    """
    for run in results.runs:
        if run.result.test_accuracy(rule) is None:
            raise errors.UsageError(
                f"--rule={rule.name} needs runs with --validation_examples; {run.name} "
                "has none"
            )


_DATASET_PREFIXES = ("folder-", "csv-", "tfds-")
_TOLERANCE = 1e-9  # Files hold all digits of an accuracy.


def check_names(folder: RunFolder, name: RunName, config: ConfigRecord) -> None:
    """Checks the names in a run's path.

    Args:
        folder: The run's folder.
        name: What its path says.
        config: What its `config.json` says.

    Raises:
        UsageError: If the two disagree, or name something that doesn't exist.
    """
    expected = _expected_name(folder, config)
    for what, key in (
        ("data set", "dataset"),
        ("model", "model"),
        ("setting", "normalization"),
        ("seed", "seed"),
    ):
        in_path, in_file = getattr(name, key), getattr(expected, key)
        if _comparable(in_path) != _comparable(in_file):
            raise errors.UsageError(
                f"{folder.config} says {what} {str(in_file)[:80]}, but the folder's "
                f"name says {str(in_path)[:80]}: was it renamed or copied? Restore its "
                "name, or delete it if it is a copy"
            )
    _check_known(folder, config)


def _expected_name(folder: RunFolder, config: ConfigRecord) -> RunName:
    """Returns the name that a run's folder should have."""
    try:
        return RunName.of(config.requested)
    except (errors.UsageError, AttributeError, TypeError) as error:
        raise errors.UsageError(
            f"{folder.config} has a value that no run has: {errors.one_line(error)}; "
            f"{REPAIR}"
        ) from error


def _comparable(name: object) -> object:
    """Returns a name in one Unicode form: some file systems store another."""
    return unicodedata.normalize("NFC", name) if isinstance(name, str) else name


def _check_known(folder: RunFolder, config: ConfigRecord) -> None:
    """Raises `UsageError` if a run names something that doesn't exist."""
    dataset, model, setting = (
        config.requested[key] for key in ("dataset", "model", "normalization")
    )
    if not dataset.startswith(_DATASET_PREFIXES) and dataset not in DATASETS:
        allowed = [*DATASETS, *(f"{prefix}NAME" for prefix in _DATASET_PREFIXES)]
        raise errors.unknown_name(f"data set in {folder}:", dataset, allowed)
    if not model.startswith(PREFIX) and model not in ARCHITECTURES:
        raise errors.unknown_name(
            f"model in {folder}:", model, list(ARCHITECTURES), LIST_MODELS
        )
    if setting not in SETTINGS:
        raise errors.unknown_name(f"setting in {folder}:", setting, list(SETTINGS))


def check_history(
    folder: RunFolder,
    config: ConfigRecord,
    result: ResultRecord,
    rows: Sequence[EpochRow],
) -> None:
    """Checks a history against the two records beside it.

    Args:
        folder: The run's folder.
        config: What its `config.json` holds.
        result: What its `result.json` holds.
        rows: What its `history.csv` holds, at least one epoch.

    Raises:
        UsageError: If one of the records contradicts the history.
    """
    epochs = config.requested["epochs"]
    if len(rows) != epochs:
        raise errors.UsageError(
            f"{folder.history} ends with epoch {len(rows)}, but {folder.config.name} "
            f"says epochs={epochs} (were rows lost or added?); {REPAIR}"
        )
    summary = history.summarise(rows)
    keep = config.requested.get("keep", history.FINAL.name)
    rule = RULES.get(keep) if isinstance(keep, str) else None
    if rule is None or rule.epoch_key not in summary:
        raise errors.UsageError(
            f"{folder.config} says keep={str(keep)[:80]!r}, a rule that can't be "
            f"applied to {folder.history.name} (was one of them edited?); {REPAIR}"
        )
    _check_summary(folder, result, summary | {"kept_epoch": summary[rule.epoch_key]})


def _check_summary(
    folder: RunFolder, result: ResultRecord, summary: Mapping[str, Any]
) -> None:
    """Raises `UsageError` unless a result is the summary of its history."""
    nothing = dict.fromkeys(
        key for rule in RULES.values() for key in (rule.accuracy_key, rule.epoch_key)
    )
    for name, expected in {**nothing, **summary}.items():
        recorded = getattr(result, name)
        if recorded is None and expected is None:
            continue
        if None in (recorded, expected) or abs(recorded - expected) > _TOLERANCE:
            raise errors.UsageError(
                f"{folder.result} says {name}={_shown(recorded)}, but "
                f"{folder.history.name} says {_shown(expected)} (was one of them "
                f"edited, or is it another run's?); {REPAIR}"
            )


def _shown(value: float | None) -> str:
    return "nothing" if value is None else str(value)


def check_no_copies(histories: Mapping[RunFolder, Sequence[EpochRow]]) -> None:
    """Checks that no two runs have the same history.

    Equal accuracies happen; but losses to all digits and measured seconds differ even
    between two executions of one run.

    Args:
        histories: The rows of each run.

    Raises:
        UsageError: If a run is a copy of another.
    """
    seen: dict[tuple[tuple[float, ...], ...], RunFolder] = {}
    for found, rows in histories.items():
        values = tuple(tuple(row[name] for name in sorted(row)) for row in rows)
        first = seen.setdefault(values, found)
        if first is not found:
            raise errors.UsageError(
                f"{found.history} and {first.history} are the same, measured seconds "
                "included: one run is a copy of the other. Delete the copy, or run it "
                "again with --overwrite"
            )
