"""Tables as text, Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Lines up the columns of a table.

    Args:
        rows: Cells, the same number in each row; the first row is the header.

    Returns:
        One line a row.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Writes a table in GitHub's Markdown.

    Args:
        rows: Cells, the same number in each row; the first row is the header.

    Returns:
        One line a row, and one of dashes below the header.
    """
    header, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [header, ["---"] * len(header), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Writes rows as CSV; None and NaN become empty.

    Args:
        rows: At least one, all with the keys of the first, which are the header.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: _csv_cell(value) for name, value in row.items()} for row in rows
    )
    return text.getvalue()


def _csv_cell(value: object) -> object:
    """Keeps six significant digits of floats, more than any of them deserves."""
    if value is None or value != value:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value
