"""The report's CSV files, in the wording of version 0.1.0.

Scripts read them, so their column names and wording are frozen as of 0.1.0; this
module translates the current wording back.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Sequence

from normtest_tf import text
from normtest_tf.report.rows import Row
from normtest_tf.runs.history import FORMER_NAMES
from normtest_tf.system import files

_FORMER_RULES = {new: former for former, new in FORMER_NAMES.items()}
# From the wording of `analysis.verdicts` to that of 0.1.0.
_FORMER_WORDING = [
    (
        r"; the difference is compatible with both 0 and (\S+)",
        r", yet this difference can be told neither from 0 nor from \1",
    ),
    (r"\b(seeds|would) detect ", r"\1 show "),
    (
        "a single pair of runs can't separate a difference from chance",
        "one pair of runs can't tell a difference from chance",
    ),
]


def write(path: pathlib.Path, rows: Sequence[Row]) -> None:
    """Writes rows to a CSV file, atomically.

    Args:
        path: The file.
        rows: From `rows`, at least one.
    """
    files.write_text(path, text.csv_text([_former(row) for row in rows]))


def _former(row: Row) -> Row:
    """Returns a row with the names and the wording of version 0.1.0."""
    former = {_former_column(column): value for column, value in row.items()}
    if "rule" in former:
        former["rule"] = _FORMER_RULES.get(former["rule"], former["rule"])
    if former.get("in_words"):
        former["in_words"] = former_wording(former["in_words"])
    return former


def _former_column(column: str) -> str:
    """Returns 0.1.0's name of a column; those of a rule begin with its name."""
    for rule, former in _FORMER_RULES.items():
        if column.startswith(f"{rule}_"):
            return former + column.removeprefix(rule)
    return column


def former_wording(sentence: str) -> str:
    """Returns a verdict's sentence in the wording of version 0.1.0.

    Args:
        sentence: The text of a `verdicts.Verdict`.
    """
    for pattern, former in _FORMER_WORDING:
        sentence = re.sub(pattern, former, sentence)
    return sentence
