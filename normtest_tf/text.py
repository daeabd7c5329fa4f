"""Text for people and files: tables, durations, signed numbers, names of files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

# A callback that receives messages for the user. Library code never prints.
Notify: TypeAlias = Callable[[str], None]


def ignore(text: str) -> None:
    """Discards the text."""


def shown(name: str) -> str:
    r"""Returns a file's name for messages: on one line and valid Unicode.

    Args:
        name: Any name; bytes that are not UTF-8 are surrogates, as in Python's own
            functions, and become `\udcNN`.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in name
    )


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Aligns the columns of a table.

    Args:
        rows: Rows of the same number of cells; the first is the header.

    Returns:
        One line per row, without trailing spaces.

    Example:
    ```python
    print(text_table([("model", "n"), ("resnet18", "5")]))
    ```
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Formats a table as GitHub Markdown.

    Args:
        rows: Rows of the same number of cells; the first is the header.

    Returns:
        One line per row, and a line of dashes below the header.
    """
    header, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [header, ["---"] * len(header), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Formats rows as CSV, floats with six significant digits.

    Args:
        rows: At least one row; all have the keys of the first, which become the
            header. None and NaN become empty cells.

    Returns:
        The header and one line per row, each ending with a newline.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: _csv_cell(value) for name, value in row.items()} for row in rows
    )
    return text.getvalue()


def _csv_cell(value: object) -> object:
    if value is None or value != value:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value


def counted(number: int, noun: str) -> str:
    """Writes a number of things: `1 run`, `2 runs`.

    Args:
        number: How many there are.
        noun: Its singular; the plural is made with an s.
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """Formats a duration for people to read.

    Args:
        seconds: At least 0.

    Returns:
        Text such as `41 s`, `12 min` or `3 h 20 min`.
    """
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def signed(points: float) -> str:
    """Formats percentage points with an explicit sign and two decimals.

    Args:
        points: A difference in percentage points.

    Returns:
        Text such as `+0.31`; a value that rounds to zero is `+0.00`, never `-0.00`.
    """
    return f"{round(points, 2) + 0.0:+.2f}"
