"""A run's history: `history.csv`, and the rules for choosing one of its epochs.

`--keep`, a report's `--rule` and `result.json` share the rules' names.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import pathlib
from collections.abc import Sequence
from typing import Any

from normtest_tf import errors
from normtest_tf.runs.folder import REPAIR
from normtest_tf.system import files
from normtest_tf.system.json_values import is_accuracy, not_an_accuracy
from normtest_tf.training import EpochRow

_COLUMNS = (
    *("epoch", "learning_rate", "train_loss", "train_accuracy"),
    *("test_loss", "test_accuracy", "seconds", "images_per_second"),
)
_VALIDATION_COLUMNS = ("validation_loss", "validation_accuracy")  # Both, or none.
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
# What version 0.1.0 called them.
FORMER_NAMES = {"selected": "best_validation"}


def summarise(rows: Sequence[EpochRow]) -> dict[str, Any]:
    """Summarises a history by every applicable rule.

    Args:
        rows: The history, at least one epoch.

    Returns:
        The fields of `ResultRecord` that follow from the history.
    """
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
    """Reads a history, checked.

    A byte order mark, other line endings, quoted cells and blank lines are harmless.

    Args:
        path: A run's `history.csv`.

    Returns:
        One row per epoch, from 1 on without gaps, at least one; all values are finite.

    Raises:
        UsageError: If the file can't be read, or if columns, epochs or values are not
            those of a history.
    """
    text = files.read_text(path, REPAIR)
    try:
        return _numbered(_rows(text))
    except (ValueError, csv.Error) as error:
        raise errors.unreadable(path, error, REPAIR) from error


def _rows(text: str) -> list[EpochRow]:
    """Returns the rows of a history, or raises `ValueError`."""
    lines = csv.reader(text.splitlines(), strict=True)
    names = [name.strip() for name in next(lines, [])]
    _check_columns(names)
    return [
        _row(names, cells, f"line {lines.line_num}")
        for cells in lines
        if any(cell.strip() for cell in cells)
    ]


def _check_columns(names: Sequence[str]) -> None:
    """Raises `ValueError` unless a header names the columns of a history."""
    for separator, kind in ((";", "semicolons"), ("\t", "tabs")):
        if any(separator in name for name in names):
            raise ValueError(
                f"its cells are separated by {kind}, not commas (was it saved by a "
                "spreadsheet?)"
            )
    is_validated = any(name in names for name in _VALIDATION_COLUMNS)
    expected = (*_COLUMNS, *(_VALIDATION_COLUMNS if is_validated else ()))
    problems = {
        "it lacks": [name for name in expected if name not in names],
        "it repeats": [name for name in expected if names.count(name) > 1],
        "it has unknown columns:": [name for name in names if name not in expected],
    }
    for problem, columns in problems.items():
        if columns:
            raise ValueError(f"{problem} {', '.join(map(repr, columns))[:200]}")


def _row(names: Sequence[str], cells: Sequence[str], where: str) -> EpochRow:
    """Returns the values of a line, or raises `ValueError`."""
    if len(cells) != len(names):
        raise ValueError(
            f"{where} has {len(cells)} cells, not {len(names)} (was the copy cut off?)"
        )
    return {
        name: _number(name, cell.strip(), where)
        for name, cell in zip(names, cells, strict=True)
    }


def _number(name: str, cell: str, where: str) -> float:
    """Returns the number in a cell, or raises `ValueError`."""
    if not cell:
        raise ValueError(f"{where} lacks {name}")
    # Python would read other alphabets' digits, and 1_0 as 10.
    is_plain = cell.isascii() and "_" not in cell
    try:
        value = float(cell if is_plain else "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{where} holds {name}={cell[:80]!r}, not a finite number")
    if name.endswith("_accuracy") and not is_accuracy(value):
        raise ValueError(f"{where} holds {name}={not_an_accuracy(value)}")
    return value


def _numbered(rows: Sequence[EpochRow]) -> list[EpochRow]:
    """Returns rows with epochs as ints, or raises `ValueError`."""
    if not rows:
        raise ValueError("it holds no epoch")
    for number, row in enumerate(rows, 1):
        if row["epoch"] != number:
            raise ValueError(
                f"epoch {row['epoch']:g} comes where epoch {number} should (were rows "
                "lost, repeated or sorted?)"
            )
    return [{**row, "epoch": number} for number, row in enumerate(rows, 1)]
