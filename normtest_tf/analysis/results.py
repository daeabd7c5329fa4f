"""Reading back a results folder: all finished runs, and what is missing."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from normtest_tf import errors, runs, sweeps
from normtest_tf.backbones import ARCHITECTURES
from normtest_tf.datasets import DATASETS
from normtest_tf.normalization import SETTINGS

LAYOUT = "<dataset>/<model>-<normalization>/seed-<n>/result.json"
# How an epoch is chosen, and the column of `result.json` that holds its accuracy.
RULES = {
    "final": "final_test_accuracy",
    "best_test": "best_test_accuracy",
    "selected": "selected_test_accuracy",
}
RULE_NAMES = {
    "final": "final epoch",
    "best_test": "best epoch on the test images",
    "selected": "best epoch on the validation images",
}
Cell = tuple[str, str]  # A data set and a model.


@dataclasses.dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes:
        dataset: Name of the data set's folder.
        model: Name of the model.
        normalization: The setting.
        seed: The seed.
        config: What `config.json` holds.
        result: What `result.json` holds.
        history: What `history.csv` holds, one dict an epoch.
    """

    dataset: str
    model: str
    normalization: str
    seed: int
    config: dict[str, Any]
    result: dict[str, Any]
    history: list[dict[str, float]]

    @property
    def cell(self) -> Cell:
        """The data set and the model."""
        return self.dataset, self.model

    def accuracy(self, rule: str) -> float | None:
        """Returns the test accuracy, 0 to 1, by a rule; None if it wasn't run."""
        return self.result.get(RULES[rule])


@dataclasses.dataclass(frozen=True)
class Results:
    """All runs of a results folder.

    Attributes:
        runs: The finished ones, sorted by data set, model, setting and seed.
        missing: What is not there, by the run's folder within the results folder:
            `not run`, `interrupted`, or `failed: ` and the error.
    """

    runs: list[Run]
    missing: dict[str, str]

    @property
    def cells(self) -> list[Cell]:
        """Data sets and models, in the order of the runs."""
        return list(dict.fromkeys(run.cell for run in self.runs))

    @property
    def settings(self) -> list[str]:
        """The normalization settings, in the order of the runs."""
        return list(dict.fromkeys(run.normalization for run in self.runs))

    def of(self, cell: Cell, setting: str | None = None) -> list[Run]:
        """Returns a cell's runs, of one setting or of all."""
        return [
            run
            for run in self.runs
            if run.cell == cell and setting in (None, run.normalization)
        ]

    def accuracies(self, cell: Cell, setting: str, rule: str) -> dict[int, float]:
        """Returns test accuracies, 0 to 1, by seed; without those the rule lacks."""
        values = {run.seed: run.accuracy(rule) for run in self.of(cell, setting)}
        return {seed: value for seed, value in values.items() if value is not None}

    def differences(
        self, cell: Cell, treatment: str, control: str, rule: str
    ) -> dict[int, float]:
        """Returns `treatment - control` in percentage points, by seed.

        Seeds of which one of the two runs is missing are left out.
        """
        treated = self.accuracies(cell, treatment, rule)
        controls = self.accuracies(cell, control, rule)
        return {
            # Accuracies are quotients of counts; this takes off the binary digits.
            seed: round(100 * (treated[seed] - controls[seed]), 9)
            for seed in treated
            if seed in controls
        }

    def curves(self, cell: Cell, setting: str) -> np.ndarray:
        """Returns test accuracy, 0 to 1, float `[seeds, epochs]`."""
        return np.array(
            [
                [row["test_accuracy"] for row in run.history]
                for run in self.of(cell, setting)
            ]
        )


def read(results_dir: pathlib.Path) -> Results:
    """Reads all runs of a results folder.

    Args:
        results_dir: As `--results_dir` of a run or a sweep.

    Returns:
        The finished runs and what is missing.

    Raises:
        UsageError: If there is no finished run, if a file can't be read, or if
            runs that should differ in setting and seed alone differ in more.
    """
    if not os.path.isdir(results_dir):  # The method raises for overlong names.
        raise errors.UsageError(
            f"--results_dir={results_dir} is not a folder; experiments.sweep makes one"
        )
    folders = _run_folders(results_dir)
    finished = [folder for folder in folders if runs.is_finished(folder)]
    if not finished:
        raise errors.UsageError(
            f"{results_dir} holds no finished run; experiments.sweep and "
            "experiments.train make them"
        )
    found = sorted((_read_run(folder) for folder in finished), key=_order)
    _check_comparable(found)
    return Results(found, _missing(results_dir, folders, found))


def has_finished_run(results_dir: pathlib.Path) -> bool:
    """Tells whether a folder holds a finished run where `LAYOUT` says."""
    return os.path.isdir(results_dir) and any(
        map(runs.is_finished, _run_folders(results_dir))
    )


def _run_folders(results_dir: pathlib.Path) -> list[pathlib.Path]:
    """Returns the folders of runs, finished or not."""
    return sorted(path for path in results_dir.glob("*/*/seed-*") if path.is_dir())


def _read_run(folder: pathlib.Path) -> Run:
    """Reads a finished run's three files."""
    dataset, setting, seed = folder.parts[-3:]
    model, _, normalization = setting.rpartition("-")
    _check_names(folder, dataset, model, normalization)
    try:
        number = int(seed.removeprefix("seed-"))
    except ValueError as error:
        raise errors.UsageError(f"{folder} is not named seed-NUMBER") from error
    config = runs.read_json(folder / "config.json")
    result = runs.read_json(folder / "result.json")
    for name in ("final_test_accuracy", "best_test_accuracy"):
        if not runs.is_accuracy(result.get(name)):
            raise errors.UsageError(
                f"{folder / 'result.json'} lacks {name}, a number from 0 to 1; run it "
                "again with --overwrite"
            )
    history = runs.read_history(folder)
    if not history or "test_accuracy" not in history[0]:
        raise errors.UsageError(f"{folder / 'history.csv'} lacks test_accuracy")
    return Run(dataset, model, normalization, number, config, result, history)


def _check_names(
    folder: pathlib.Path, dataset: str, model: str, normalization: str
) -> None:
    """Raises `UsageError` if a run's folder names something that doesn't exist."""
    if not dataset.startswith("folder-") and dataset not in DATASETS:
        allowed = [*DATASETS, "folder-NAME"]
        raise errors.unknown_name(f"data set in {folder}:", dataset, allowed)
    if model not in ARCHITECTURES:
        raise errors.unknown_name(f"model in {folder}:", model, list(ARCHITECTURES))
    if normalization not in SETTINGS:
        raise errors.unknown_name(
            f"setting in {folder}:", normalization, list(SETTINGS)
        )


def _order(run: Run) -> tuple[str, str, int, int]:
    """Sorts runs as tables list them: names, then the settings' own order."""
    place = list(SETTINGS).index(run.normalization)
    return run.dataset, run.model, place, run.seed


def _check_comparable(found: Sequence[Run]) -> None:
    """Raises unless runs of a cell differ in setting and seed alone."""
    firsts: dict[Cell, Run] = {}
    for run in found:
        first = firsts.setdefault(run.cell, run)
        ours, theirs = _recipe(run), _recipe(first)
        changed = sorted(
            f"{name}: {theirs.get(name)} and {ours.get(name)}"
            for name in ours.keys() | theirs.keys()
            if ours.get(name) != theirs.get(name)
        )
        if changed:
            raise errors.UsageError(
                f"runs of {run.model} on {run.dataset} can't be compared, "
                f"{first.normalization} seed {first.seed} with {run.normalization} "
                f"seed {run.seed}: {'; '.join(changed)}. Keep them in separate "
                "results folders"
            )


def _recipe(run: Run) -> dict[str, Any]:
    """Returns what all runs of a cell must share."""
    requested = dict(run.config.get("requested", {}))
    for name in ("normalization", "seed", "keep"):
        requested.pop(name, None)
    resolved = run.config.get("resolved", {})
    return requested | {
        "data_fingerprint": run.config.get("data_fingerprint"),
        "weights_sha256": resolved.get("weights_sha256"),
        "precision": resolved.get("precision"),
    }


def _missing(
    results_dir: pathlib.Path,
    folders: Sequence[pathlib.Path],
    found: Sequence[Run],
) -> dict[str, str]:
    """Returns what was planned, or would complete the grid, and isn't there."""
    present = {folder.relative_to(results_dir).as_posix() for folder in folders}
    done = {
        f"{run.dataset}/{run.model}-{run.normalization}/seed-{run.seed}"
        for run in found
    }
    planned = present | set(sweeps.read_plan(results_dir)) | _whole_grid(found)
    return {
        name: _why(results_dir / name, name in present)
        for name in sorted(planned - done)
    }


def _whole_grid(found: Sequence[Run]) -> set[str]:
    """Returns each cell's settings crossed with its seeds."""
    settings: dict[Cell, set[str]] = {}
    seeds: dict[Cell, set[int]] = {}
    for run in found:
        settings.setdefault(run.cell, set()).add(run.normalization)
        seeds.setdefault(run.cell, set()).add(run.seed)
    return {
        f"{cell[0]}/{cell[1]}-{setting}/seed-{seed}"
        for cell in settings
        for setting in settings[cell]
        for seed in seeds[cell]
    }


def _why(folder: pathlib.Path, present: bool) -> str:
    """Says why a run is not finished."""
    failure = folder / runs.FAILURE
    if failure.exists():
        return f"failed: {runs.read_json(failure).get('error', 'no reason given')}"
    return "interrupted" if present else "not run"


def check_rule(results: Results, rule: str) -> None:
    """Raises `UsageError` if a rule can't be applied to all runs."""
    for run in results.runs:
        if run.accuracy(rule) is None:
            raise errors.UsageError(
                f"--rule={rule} needs runs with --validation_examples; {run.dataset} "
                f"{run.model} {run.normalization} seed {run.seed} has none"
            )
