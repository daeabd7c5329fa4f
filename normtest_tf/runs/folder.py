"""The folder of a run: its path, its files, its state, and its history.

<results_dir>/<dataset>/<model>-<normalization>/seed-<seed>/

with variants of the data set and of the training behind their names:
`cifar10+contrast_0.5+20_per_class`, `resnet18+head+recalibrated`.

docs/running.md lists the files; `result.json` is written last, so it marks a finished
run. A results folder may hold a plan.json: the requested runs. `--keep`, a report's
`--rule` and `result.json` share the names of the rules that choose an epoch.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import pathlib
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict, cast

import msgspec
from msgspec import Meta

from normtest_tf import datasets, errors
from normtest_tf.system import files
from normtest_tf.training import EpochRow
from normtest_tf.training.choices import ADAM, ALL, FIRST, NONE

LAYOUT = "<results_dir>/<dataset>/<model>-<normalization>/seed-<seed>"
FORMAT: Literal[1] = 1  # The version of the folder's layout and files.
PLAN = "plan.json"  # In a results folder: the requested runs.
CHECKPOINTS = "epoch-*.ckpt"  # In the folder of checkpoints.
REPAIR = f"{files.RESTORE}, or run again with --overwrite"
# Defaults of flags that older configs don't record.
UNRECORDED = {
    "deterministic": False,
    "shift": datasets.NO_SHIFT,
    "examples_per_class": None,
    "subset": FIRST,
    "warmup_epochs": 0,
    "optimizer": ADAM,
    "train": ALL,
    "recalibrate": False,
    "strategy": NONE,
}
# Flags of earlier versions, with the value that all runs have now.
_GONE = {"steps_per_execution": 1, "sync_batch_norm": False}
_VARIANT = "+"  # In no other name; begins what is appended to one.
_SEED_PREFIX = "seed-"
_SEED = re.compile(_SEED_PREFIX + "(0|[1-9][0-9]*)")  # Each seed has one name.

Accuracy = Annotated[float, Meta(ge=0, le=1)]
_MAX = sys.float_info.max
_Number = Annotated[float, Meta(ge=-_MAX, le=_MAX)]  # Neither NaN nor infinite.
# Of a history: timings are rounded; computed values keep all digits.
_DIGITS = {"seconds": 3, "images_per_second": 1}


def as_of_now(requested: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a recorded request as this version records it."""
    values = {**UNRECORDED, **requested}
    return {k: v for k, v in values.items() if k not in _GONE or _GONE[k] != v}


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule for choosing one epoch of a run."""

    name: str  # On the command line.
    title: str  # In tables.
    # Of the history: highest in the chosen epoch (the first of equals); None: the last.
    maximises: str | None
    epoch_key: str  # What `result.json` calls the epoch, and its test accuracy.
    accuracy_key: str

    def choose(self, rows: Sequence[EpochRow]) -> EpochRow | None:
        """Returns the chosen row of a history, None if it lacks what is maximised."""
        column = self.maximises
        if column is None:
            return rows[-1]
        if column not in rows[-1]:
            return None
        return max(rows, key=lambda row: row[column])


FINAL = Rule("final", "final epoch", None, "final_epoch", "final_test_accuracy")
BEST_TEST = Rule(  # The PyTorch study's.
    "best_test",
    "best epoch on the test images",
    "test_accuracy",
    "best_epoch",
    "best_test_accuracy",
)
BEST_VALIDATION = Rule(
    "best_validation",
    "best epoch on the validation images",
    "validation_accuracy",
    "best_validation_epoch",
    "best_validation_test_accuracy",
)
RULES = {rule.name: rule for rule in (FINAL, BEST_TEST, BEST_VALIDATION)}


def summarise(rows: Sequence[EpochRow]) -> dict[str, Any]:
    """Returns the fields of `ResultRecord` that follow from a history."""
    values: dict[str, Any] = {"final_train_accuracy": rows[-1]["train_accuracy"]}
    for rule in RULES.values():
        if (row := rule.choose(rows)) is not None:
            values[rule.epoch_key] = row["epoch"]
            values[rule.accuracy_key] = row["test_accuracy"]
            if rule.maximises == "validation_accuracy":
                values["best_validation_accuracy"] = row["validation_accuracy"]
    return values


class Cell(NamedTuple):
    """A data set and a model: the unit in which settings are compared."""

    dataset: str
    model: str


@dataclasses.dataclass(frozen=True, order=True)
class RunName:
    """Identifies a run within its results folder."""

    dataset: str  # From `datasets.slug`, and its variants.
    model: str  # From `backbones.slug`, and how its training differs from the study's.
    normalization: str
    seed: int

    def __str__(self) -> str:
        """Returns the run's path within a results folder, with slashes."""
        setting = f"{self.model}-{self.normalization}"
        return f"{self.dataset}/{setting}/{_SEED_PREFIX}{self.seed}"

    @property
    def cell(self) -> Cell:
        """The data set and the model."""
        return Cell(self.dataset, self.model)

    @classmethod
    def of(cls, requested: Mapping[str, Any]) -> RunName:
        """Returns the name of a run from what was requested, as `config.json` has it.

        A cell is compared within itself only, so runs whose images or regime are
        others have another cell, and no published run has its name.
        """
        requested = {**UNRECORDED, **requested}
        per_class = requested["examples_per_class"]
        optimizer, regime = requested["optimizer"], requested["train"]
        of_data = [
            datasets.parse_shift(requested["shift"]).slug,
            per_class and f"{per_class}_per_class",
        ]
        of_training = [
            regime if regime != ALL else "",
            optimizer if optimizer != ADAM else "",
            "recalibrated" if requested["recalibrate"] else "",
        ]
        return cls(
            _VARIANT.join([requested["dataset"], *filter(None, of_data)]),
            _VARIANT.join([requested["model"], *filter(None, of_training)]),
            requested["normalization"],
            requested["seed"],
        )

    @classmethod
    def parse(cls, path: pathlib.PurePath) -> RunName:
        """Returns the name that a path ends in; `UsageError` if it is no run's."""
        seed = _SEED.fullmatch(path.name)
        if len(path.parts) < 3 or seed is None:
            raise errors.UsageError(f"{path} is not named seed-NUMBER")
        dataset, setting, _ = path.parts[-3:]
        model, _, normalization = setting.rpartition("-")
        return cls(dataset, model, normalization, int(seed[1]))


class _Entry:
    """A file or folder in a run's folder."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, folder: RunFolder, owner: type | None = None) -> pathlib.Path:
        return folder.path / self._name


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """The folder of one run, which need not exist."""

    path: pathlib.Path

    config = _Entry("config.json")
    history = _Entry("history.csv")
    result = _Entry("result.json")
    model = _Entry("model.keras")
    predictions = _Entry("predictions.npz")
    failure = _Entry("failed.json")
    checkpoints = _Entry("checkpoints")
    tensorboard = _Entry("tensorboard")
    exports = _Entry("export")  # For the model in other formats.

    def __str__(self) -> str:
        return str(self.path)

    def is_finished(self) -> bool:
        """Tells whether it holds a complete run; `UsageError` if nobody can tell."""
        try:
            return self.result.is_file()
        except OSError as error:
            advice = "make it readable, or choose another --results_dir"
            raise errors.unreadable(self.path, error, advice) from error

    def is_started(self) -> bool:
        """Tells whether a run was started here, finished or not."""
        return self.config.exists()

    def start_afresh(self) -> None:
        """Creates the folder and removes an earlier run's files.

        `result.json` goes first, so that the folder never looks finished meanwhile;
        `config.json` goes last, so that checkpoints are never without it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self.result.unlink(missing_ok=True)
        for folder in (self.checkpoints, self.tensorboard):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.failure, self.history, self.model, self.predictions):
            file.unlink(missing_ok=True)
        self.config.unlink(missing_ok=True)

    def write_history(self, rows: Sequence[EpochRow]) -> None:
        """Writes `history.csv`, at least one epoch, atomically."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            rounded = {name: round(row[name], n) for name, n in _DIGITS.items()}
            writer.writerow({**row, **rounded})
        files.write_text(self.history, text.getvalue())

    def read_history(self) -> list[EpochRow]:
        """Reads `history.csv`; `UsageError` if it is not what a run writes."""
        lines = files.read_text(self.history, REPAIR).splitlines()
        try:
            cells = list(csv.DictReader(lines, strict=True))
            rows = msgspec.convert(cells, list[_Row], strict=False)
            if not rows or [row["epoch"] for row in rows] != [*range(1, len(rows) + 1)]:
                raise ValueError("its epochs are not 1 to n, in order")
        except (ValueError, csv.Error) as error:
            raise errors.unreadable(self.history, error, REPAIR) from error
        return cast(list[EpochRow], rows)


def find(results_dir: pathlib.Path) -> list[RunFolder]:
    """Returns the folders of all runs in a results folder, finished or not, sorted."""
    found = sorted(results_dir.glob(f"*/*/{_SEED_PREFIX}*/"))
    return [RunFolder(path) for path in found if _SEED.fullmatch(path.name)]


def add_to_plan(results_dir: pathlib.Path, names: Sequence[RunName]) -> None:
    """Adds runs to a results folder's plan; existing entries are kept."""
    with files.only_writer(results_dir, wait=True):
        known = read_plan(results_dir)
        planned = set(known)
        if new := [name for name in map(str, names) if name not in planned]:
            plan = {"format": FORMAT, "runs": known + new}
            files.write_json(results_dir / PLAN, plan)


def read_plan(results_dir: pathlib.Path) -> list[str]:
    """Returns the planned runs' paths within a results folder; none without a plan."""
    path = results_dir / PLAN
    if not path.exists():
        return []
    advice = "remove it, and the next sweep writes it again"
    return files.read_json(path, advice, _Plan)["runs"]


class _Plan(TypedDict):
    """What `plan.json` holds."""

    runs: list[Annotated[str, Meta(pattern=rf"^[^/]+/[^/]+-[^/]+/{_SEED.pattern}\Z")]]


class _Row(TypedDict):
    """A line of `history.csv`, whose cells are text."""

    epoch: int
    learning_rate: _Number
    train_loss: _Number
    train_accuracy: Accuracy
    test_loss: _Number
    test_accuracy: Accuracy
    validation_loss: NotRequired[_Number]
    validation_accuracy: NotRequired[Accuracy]
    seconds: _Number
    images_per_second: _Number
