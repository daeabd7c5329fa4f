"""Tables of images: CSV files of `file,label` or `file,label,split`."""

from __future__ import annotations

import csv
import functools
import os
import pathlib
import unicodedata
from collections.abc import Iterator

from normtest_tf import errors
from normtest_tf.datasets import loading, splits
from normtest_tf.datasets.loading import ReadingOptions, Source
from normtest_tf.text import Notify, counted, shown

_NFC = functools.partial(unicodedata.normalize, "NFC")
_FORMAT = "Its first line must be file,label or file,label,split"


def find(
    path: pathlib.Path, name: str, options: ReadingOptions, notify: Notify
) -> Source:
    """Finds the images that a table lists, by paths relative to its folder."""
    rows = list(read_rows(path))
    found = None
    if "split" in rows[0] or options.train_split or options.test_split:
        there = {row.get("split", "") for row in rows}
        found = splits.choose(options.train_split, options.test_split, there, str(path))
    used = [row for row in rows if not found or row["split"] in found]
    if len(used) < len(rows):
        number = counted(len(rows) - len(used), "image")
        notify(f"{shown(name)}: left out {number} of other splits")
    # An accent is one character or two, and looks the same.
    forms = {_NFC(label): label for label in sorted({row["label"] for row in used})}
    classes = forms.values()
    by_number = all(label.isascii() and label.isdigit() for label in classes)
    ordered = sorted(classes, key=lambda one: (int(one) if by_number else 0, one))
    indices = {label: index for index, label in enumerate(ordered)}
    labels = [
        {
            row["file"]: indices[forms[_NFC(row["label"])]]
            for row in used
            if not found or row["split"] == split
        }
        for split in found or ("",)
    ]
    examples = loading.of_files(path.parent, labels, options)
    return Source(name, ordered, examples, str(path))


def read_rows(path: pathlib.Path) -> Iterator[dict[str, str]]:
    """Yields the rows, each with `file`, `label` and perhaps `split`; at least one."""
    seen = set()
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise OSError("it is not a file")  # Opening a pipe would block for ever.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="", strict=True)
            columns = [name.strip().lower() for name in reader.fieldnames or []]
            if not {"file", "label"} <= set(columns) or len(columns) > len({*columns}):
                raise ValueError(f"it has the columns {','.join(columns)[:100]!r}")
            reader.fieldnames = columns
            for row in reader:
                line = f"line {reader.line_num}"
                if None in row:
                    raise ValueError(f"{line} has too many values; quote commas")
                row = {column: value.strip() for column, value in row.items()}
                if not any(row.values()):
                    continue
                if not (row["file"] and row["label"]):
                    raise ValueError(f"{line} has no file or no label")
                real = os.path.realpath(path.parent / row["file"])
                if real in seen:
                    raise ValueError(f"{line} lists {row['file']} again")
                seen.add(real)
                yield row
            if not seen:
                raise ValueError("it lists no images")
    except (OSError, ValueError, csv.Error) as error:
        raise errors.unreadable(path, error, _FORMAT) from error
