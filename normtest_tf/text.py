"""Text for people and files: tables, durations, sizes, signed numbers, file names."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

# A callback that receives messages for the user. Library code never prints.
Notify: TypeAlias = Callable[[str], None]


def ignore(text: str) -> None:
    """Discards the text."""


def shown(name: str) -> str:
    """Returns a file's name for messages: on one line and valid Unicode."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in name
    )


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Aligns the columns of a table, without trailing spaces."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Formats a table, whose first row is the header, as GitHub Markdown."""
    header, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [header, ["---"] * len(header), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_LATEX = str.maketrans(
    {char: f"\\{char}" for char in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"±": r"$\pm$"}
)


def latex_table(rows: Sequence[Sequence[str]]) -> str:
    """Formats a table, whose first row is the header, as LaTeX, with booktabs."""
    header, *body = (" & ".join(_latex(cell) for cell in row) + r" \\" for row in rows)
    return "\n".join(
        (
            r"% \usepackage{booktabs}",
            rf"\begin{{tabular}}{{{'l' * len(rows[0])}}}",
            *(r"\toprule", header, r"\midrule", *body, r"\bottomrule"),
            r"\end{tabular}",
        )
    )


def _latex(cell: str) -> str:
    """Escapes a cell of Markdown; minus signs and bold text become LaTeX's."""
    escaped = re.sub(r"(?<!\w)-(?=\d)", "$-$", cell.translate(_LATEX))
    return re.sub(r"\*\*(.+?)\*\*", r"\\textbf{\1}", escaped)


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Formats rows as CSV, floats with six significant digits, None and NaN as empty.

    All rows have the keys of the first, which become the header.
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
    """Writes a number of things: `1 run`, `2 runs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """Formats a duration for people to read: `41 s`, `12 min` or `3 h 20 min`."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def size_in_words(size: int) -> str:
    """Formats a number of bytes for people to read: `1.9 GB`, `38 MB`."""
    for unit, digits in (("GB", 9), ("MB", 6), ("KB", 3)):
        if (value := size / 10**digits) >= 1:
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{size} bytes"


def signed(points: float) -> str:
    """Formats percentage points: `+0.31`, and `+0.00`, never `-0.00`."""
    return f"{round(points, 2) + 0.0:+.2f}"
