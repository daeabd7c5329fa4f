"""A run's history: `history.csv`, and the rules for choosing one of its epochs.

`--keep`, a report's `--rule` and `result.json` share the rules' names.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import pathlib
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NotRequired, TypedDict, cast

import msgspec
from msgspec import Meta

from normtest_tf import errors
from normtest_tf.runs.folder import REPAIR
from normtest_tf.system import files
from normtest_tf.training import EpochRow

Accuracy = Annotated[float, Meta(ge=0, le=1)]
_MAX = sys.float_info.max
_Number = Annotated[float, Meta(ge=-_MAX, le=_MAX)]  # Neither NaN nor infinite.
# Timings are rounded; computed values keep all digits.
_DIGITS = {"seconds": 3, "images_per_second": 1}


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


def write(path: pathlib.Path, rows: list[EpochRow]) -> None:
    """Writes a history, at least one epoch, atomically."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        rounded = {name: round(row[name], digits) for name, digits in _DIGITS.items()}
        writer.writerow({**row, **rounded})
    files.write_text(path, text.getvalue())


def read(path: pathlib.Path) -> list[EpochRow]:
    """Reads a history of epochs 1 to n; `UsageError` if it is not what a run writes."""
    text = files.read_text(path, REPAIR)
    try:
        lines = list(csv.DictReader(text.splitlines(), strict=True))
        rows = cast(list[EpochRow], msgspec.convert(lines, list[_Row], strict=False))
        if not rows or [row["epoch"] for row in rows] != [*range(1, len(rows) + 1)]:
            raise ValueError("its epochs are not 1 to n, in order")
    except (ValueError, csv.Error) as error:
        raise errors.unreadable(path, error, REPAIR) from error
    return rows


class _Row(TypedDict):
    """A line of the file, whose cells are text."""

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
