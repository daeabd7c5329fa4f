"""A results folder read back: its finished and its missing runs.

A run's `config.json` names it; its path is only a path. The folder may be packed into
one zip, which is read in place.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import pathlib
import zipfile
from collections.abc import Collection, Iterable, Sequence
from typing import Any, cast

import numpy as np

from normtest_tf import errors
from normtest_tf.normalization import GIVEN, SETTINGS, Setting
from normtest_tf.runs import (
    Cell,
    ConfigRecord,
    FailureRecord,
    ResultRecord,
    Rule,
    RunFolder,
    RunName,
)
from normtest_tf.runs.folder import LAYOUT, PLAN, REPAIR, read_plan, summarise
from normtest_tf.runs.record import Predictions
from normtest_tf.system import files
from normtest_tf.training import EpochRow
from normtest_tf.training.choices import SEEDED

# Runs of a cell may differ in these and still be compared.
_FREE = ("normalization", "mean", "std", "seed", "keep")
_PACKED = (
    PLAN,
    *(f"*/*/*/{name}.json" for name in ("config", "result", "failed")),
    *("*/*/*/history.csv", "*/*/*/predictions.npz"),
)
_TOLERANCE = 1e-9  # Files hold all digits of an accuracy.


@dataclasses.dataclass(frozen=True)
class Run:
    """One finished run, in three of its files, and perhaps its predictions."""

    name: RunName
    config: ConfigRecord
    result: ResultRecord
    history: list[EpochRow]  # A row per epoch.
    folder: RunFolder = dataclasses.field(compare=False)

    @property
    def cell(self) -> Cell:
        """The data set and the model."""
        return self.name.cell

    @property
    def setting(self) -> Setting:
        """How the inputs were normalised."""
        return SETTINGS[self.name.normalization]

    def correct(self, rule: Rule) -> np.ndarray | None:
        """Returns whether each test image is right, bool `[n]`, if that is recorded."""
        if not self.folder.predictions.is_file():
            return None
        stored = Predictions.read(self.folder)
        by_epoch = {
            self.result.kept_epoch: stored.kept_correct,
            self.result.final_epoch: stored.final_correct,
        }
        found = by_epoch.get(getattr(self.result, rule.epoch_key))
        accuracy = self.result.test_accuracy(rule)
        if found is None or accuracy is None:
            return None
        if abs(found.mean() - accuracy) > _TOLERANCE:
            raise errors.UsageError(
                f"{self.folder.predictions} has {found.mean():.4%} of the images "
                f"right, where {self.folder.result.name} says {accuracy:.4%}: they are "
                f"not of one run; {REPAIR}"
            )
        return found


@dataclasses.dataclass(frozen=True)
class Results:
    """All runs of a results folder."""

    runs: list[Run]  # The finished ones, by data set, model, setting and seed.
    # Why each other run is missing, by its path within the results folder: `not run`,
    # `interrupted`, or `failed: ` and the error.
    missing: dict[str, str]

    @functools.cached_property
    def _by_cell(self) -> dict[Cell, list[Run]]:
        """The runs of each cell: a report asks for them thousands of times."""
        grouped = itertools.groupby(self.runs, key=lambda run: run.cell)
        return {cell: list(runs) for cell, runs in grouped}

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
        """Returns test accuracies, 0 to 1, by seed, where the rule can be applied."""
        return {
            run.name.seed: accuracy
            for run in self.runs_of(cell, setting)
            if (accuracy := run.result.test_accuracy(rule)) is not None
        }

    def paired_differences(
        self, cell: Cell, treatment: str, control: str, rule: Rule
    ) -> dict[int, float]:
        """Returns `treatment - control` in percentage points, by seeds of both."""
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
        runs = self.runs_of(cell, setting)
        return np.array([[row["test_accuracy"] for row in run.history] for run in runs])


def read(
    results_dir: pathlib.Path, names: Collection[RunName] | None = None
) -> Results:
    """Reads the runs of a results folder.

    Args:
        results_dir: As `--results_dir` of a run or a sweep; or a zip of such a folder,
            as `pack` writes it.
        names: The runs to read, as if there were no others. Default: all of them;
            those that were planned or would complete the grid count as missing.

    Returns:
        The finished and the missing runs.

    Raises:
        UsageError: If there is no finished run, if a file can't be read, if two folders
            hold the same run, or if runs of a cell differ in more than setting and
            seed.
    """
    try:
        root = results_dir
        if root.suffix == ".zip" and root.is_file():
            # It answers all that reading asks of a folder.
            root = cast(pathlib.Path, zipfile.Path(root))
        elif not root.is_dir():
            raise errors.UsageError(
                f"{root} is not a folder of results; experiments.sweep creates one"
            )
        if names is None:
            folders = _folders(root)
        else:
            folders = [RunFolder(root / str(name)) for name in names]
        runs = _distinct(found for found in folders if found.result.is_file())
        if not runs:
            raise errors.UsageError(
                f"{results_dir} holds no finished run, as {LAYOUT}; experiments.sweep "
                "and experiments.train write them"
            )
        _check_comparable(runs)
        expected = {str(name) for name in names or _whole_grid(runs)}
        if names is None:
            expected |= set(read_plan(root))
        return Results(runs, _missing(root, folders, runs, expected))
    except (OSError, zipfile.BadZipFile) as error:
        raise errors.unreadable(results_dir, error) from error


def _folders(root: pathlib.Path) -> list[RunFolder]:
    """Returns the folders three levels down that hold a run, finished or not."""
    level = [root]
    for _ in range(3):
        inner = itertools.chain.from_iterable(folder.iterdir() for folder in level)
        level = [path for path in inner if path.is_dir() and path.name[0] != "."]
    return [
        found
        for found in map(RunFolder, sorted(level, key=str))
        if found.is_started() or found.failure.exists() or found.result.exists()
    ]


def _distinct(finished: Iterable[RunFolder]) -> list[Run]:
    """Reads finished runs, sorted; two folders must not hold the same run."""
    runs: dict[RunName, tuple[RunFolder, Run]] = {}
    for found in finished:
        run = _read_run(found)
        first, _ = runs.setdefault(run.name, (found, run))
        if first is not found:
            raise errors.UsageError(
                f"{first} and {found} hold the same run, {run.name}, by their "
                "config.json; move one of them out of the results folder"
            )
    order = list(SETTINGS).index
    return sorted(
        (run for _, run in runs.values()),
        key=lambda run: (run.cell, order(run.setting.name), run.name.seed),
    )


def _read_run(folder: RunFolder) -> Run:
    """Reads a finished run's three files, which must agree."""
    config = ConfigRecord.read(folder)
    name = RunName.of(config.requested)
    if name.normalization not in SETTINGS:
        kind = f"setting in {folder}:"
        raise errors.unknown_name(kind, name.normalization, list(SETTINGS))
    result, rows = ResultRecord.read(folder), folder.read_history()
    for key, expected in summarise(rows).items():
        recorded = getattr(result, key)
        if recorded is None or abs(recorded - expected) > _TOLERANCE:
            raise errors.UsageError(
                f"{folder.result} says {key}={recorded}, but {folder.history.name} "
                f"says {expected}: they are not of one run; {REPAIR}"
            )
    return Run(name, config, result, rows, folder)


def _check_comparable(runs: Sequence[Run]) -> None:
    """Raises `UsageError` if runs of a cell differ in more than setting and seed."""
    firsts: dict[Cell, Run] = {}
    drawn: dict[tuple[Cell, int], str] = {}
    given: dict[Cell, Run] = {}
    for run in runs:
        first = firsts.setdefault(run.cell, run)
        ours, theirs = _recipe(run), _recipe(first)
        if ours["subset"] == SEEDED:  # Runs of a seed alone have the same images.
            key, digest = (run.cell, run.name.seed), run.config.data_fingerprint
            theirs["data_fingerprint"] = drawn.setdefault(key, digest)
        if run.setting.name == GIVEN:
            other = given.setdefault(run.cell, run)
            for name in ("mean", "std"):
                ours[name] = run.config.requested[name]
                theirs[name] = other.config.requested[name]
                first = first if ours[name] == theirs[name] else other
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
    resolved = run.config.resolved
    digest = resolved.weights_sha256
    return requested | {
        "data_fingerprint": run.config.data_fingerprint,
        "weights": None if digest else resolved.weights,  # A file may have any name.
        "weights_sha256": digest,
        "pre-training": [
            resolved.pretraining["statistics"][k] for k in ("mean", "std")
        ],
        "precision": resolved.precision,
        "augmentation": resolved.augmentation,
        "padding": resolved.padding,
        "colour of the padding": resolved.padding_color or "black",
        "backend": run.config.environment.get("backend"),
    }


def _missing(
    root: pathlib.Path,
    folders: Sequence[RunFolder],
    runs: Sequence[Run],
    expected: set[str],
) -> dict[str, str]:
    """Returns why the runs that were started or expected are not finished, by path."""
    unfinished = [found.path for found in folders if not found.result.is_file()]
    started = {
        "/".join((p.parent.parent.name, p.parent.name, p.name)) for p in unfinished
    }
    missing = {}
    for name in sorted((started | expected) - {str(run.name) for run in runs}):
        folder = RunFolder(root / name)
        missing[name] = "interrupted" if folder.is_started() else "not run"
        if folder.failure.exists():
            missing[name] = f"failed: {FailureRecord.read(folder).error}"
    return missing


def _whole_grid(runs: Sequence[Run]) -> set[RunName]:
    """Returns each cell's settings crossed with its seeds."""
    cells: dict[Cell, list[RunName]] = {}
    for run in runs:
        cells.setdefault(run.cell, []).append(run.name)
    return {
        dataclasses.replace(name, seed=other.seed)
        for names in cells.values()
        for name, other in itertools.product(names, names)
    }


def check_rule(results: Results, rule: Rule) -> None:
    """Raises `UsageError` unless a rule for choosing an epoch applies to all runs."""
    for run in results.runs:
        if run.result.test_accuracy(rule) is None:
            raise errors.UsageError(
                f"--rule={rule.name} needs runs with --validation_examples; {run.name} "
                "has none"
            )


def pack(results_dir: pathlib.Path, archive: pathlib.Path) -> None:
    """Packs what a report reads into a `.zip`; the same runs give the same bytes."""
    if not results_dir.is_dir():
        raise errors.UsageError(f"{results_dir} is no folder; a zip is packed already")
    found = itertools.chain.from_iterable(map(results_dir.glob, _PACKED))
    with files.atomic_path(archive) as temporary, zipfile.ZipFile(temporary, "w") as to:
        for path in sorted(found):
            # A fixed date: zip's first day.
            info = zipfile.ZipInfo(path.relative_to(results_dir).as_posix())
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            info.create_system = 3  # Else it depends on the system that packs.
            to.writestr(info, path.read_bytes(), compresslevel=9)
