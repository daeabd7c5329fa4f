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
    """A rule for choosing one epoch of a run.

    Attributes:
        name: On the command line.
        title: In tables.
        maximises: The column of the history that is highest in the chosen epoch
            (the first of equals); None for the final epoch.
        epoch_key: What `result.json` calls the epoch.
        accuracy_key: What `result.json` calls the epoch's test accuracy.
    """

    name: str
    title: str
    maximises: str | None
    epoch_key: str
    accuracy_key: str

    def choose(self, rows: Sequence[EpochRow]) -> EpochRow | None:
        """Returns the chosen row of a history, None if it lacks what is maximised."""
        column = self.maximises
        if column is None:
            return rows[-1]
        if column not in rows[-1]:
            return None
        return max(rows, key=lambda row: row[column])


FINAL = Rule(
    name="final",
    title="final epoch",
    maximises=None,
    epoch_key="final_epoch",
    accuracy_key="final_test_accuracy",
)
BEST_TEST = Rule(  # The PyTorch study's.
    name="best_test",
    title="best epoch on the test images",
    maximises="test_accuracy",
    epoch_key="best_epoch",
    accuracy_key="best_test_accuracy",
)
BEST_VALIDATION = Rule(
    name="best_validation",
    title="best epoch on the validation images",
    maximises="validation_accuracy",
    epoch_key="best_validation_epoch",
    accuracy_key="best_validation_test_accuracy",
)

RULES: dict[str, Rule] = {
    rule.name: rule for rule in (FINAL, BEST_TEST, BEST_VALIDATION)
}


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
    writer.writerows(
        {name: _rounded(name, value) for name, value in row.items()} for row in rows
    )
    files.write_text(path, text.getvalue())


def _rounded(column: str, value: float) -> float:
    digits = _DIGITS.get(column)
    return value if digits is None else round(value, digits)


def read(path: pathlib.Path) -> list[EpochRow]:
    """Reads a history, checked: one row per epoch, from 1 on, of finite numbers.

    Raises:
        UsageError: If it is not what a run writes.
    """
    text = files.read_text(path, REPAIR)
    try:
        lines = list(csv.DictReader(text.splitlines(), strict=True))
        found = msgspec.convert(lines, list[_Row], strict=False)
        rows = [cast(EpochRow, row) for row in found]
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
