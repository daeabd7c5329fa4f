"""Tables of images: CSV files of `file,label` or `file,label,split`."""

from __future__ import annotations

import csv
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from normtest_tf import errors
from normtest_tf.datasets import assembly, decoding, division
from normtest_tf.datasets.image_dataset import ImageDataset
from normtest_tf.datasets.options import ReadingOptions
from normtest_tf.datasets.sources.folders import TEST_SPLITS, Splits
from normtest_tf.text import Notify, counted, ignore, shown

MAX_NAMED = 10
_FORMAT = "Its first line must be file,label or file,label,split"

Row = dict[str, str]


def load(
    path: pathlib.Path, name: str, options: ReadingOptions, notify: Notify = ignore
) -> ImageDataset:
    """Reads the images that a table lists.

    Classes are ordered by name (by number if all are numbers), images by
    `division.mixed_order` of their names in the table. Without a column `split`,
    `division.choose_test` makes the splits.

    Args:
        path: The table. Files in it are relative to its folder.
        name: The name for the data set.
        options: How to read it.
        notify: Called with notes on rows that are left out, and on the images.

    Returns:
        The data set.

    Raises:
        UsageError: If the table or its images can't be used; of files that don't
            exist, the first ten are named.
    """
    rows = _rows(path)
    _check_files(path, rows)
    splits = _splits(path, rows, options)
    if splits is None:
        classes = _classes(rows)
        examples = _examples(path, rows, classes, options)
        assembly.check_number(str(path), classes)
        train, test, how = assembly.divide(examples, classes, options)
    else:
        of_split = {
            split: [row for row in rows if row["split"] == split] for split in splits
        }
        classes = _classes(of_split[splits.train])
        _check_classes(path, splits, classes, of_split[splits.test])
        train, test = (
            _examples(path, of_split[split], classes, options) for split in splits
        )
        how = None
        if others := sorted({row["split"] for row in rows} - set(splits)):
            number = counted(len(rows) - len(train) - len(test), "image")
            left_out = shown(", ".join(other or "no split" for other in others))
            notify(f"{shown(name)}: left out {number} of {left_out}")
    return assembly.assemble(
        name, classes, train, test, options, notify, place=str(path), division=how
    )


def check_header(path: pathlib.Path) -> None:
    """Checks that a file is a table of images, without reading all of it.

    Raises:
        UsageError: If it can't be read, or has other columns.
    """
    try:
        if not os.path.isfile(path):  # `Path.is_file` would raise.
            what = "is not a file" if os.path.exists(path) else "does not exist"
            raise errors.UsageError(f"{shown(str(path))} {what}. {_FORMAT}")
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = _header(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error
    columns = _columns(first)
    if not {"file", "label"} <= set(columns) or len(set(columns)) < len(columns):
        raise errors.UsageError(
            f"{shown(str(path))} is not a table of images. {_FORMAT}. Received: "
            f"{shown(','.join(first))[:100]!r}"
        )


def _header(lines: Iterator[list[str]]) -> list[str]:
    """Returns the first line that is not blank."""
    return next((line for line in lines if any(map(str.strip, line))), [])


def _columns(header: Sequence[str]) -> list[str]:
    return [column.strip().lower() for column in header]


def _rows(path: pathlib.Path) -> list[Row]:
    """Returns the rows, each with `file`, `label` and perhaps `split`."""
    check_header(path)
    rows = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            columns = _columns(_header(lines))
            for values in lines:
                if any(value.strip() for value in values):
                    rows.append(_row(path, lines.line_num, columns, values))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error
    if not rows:
        raise errors.UsageError(f"{shown(str(path))} lists no images. Add some")
    return rows


def _row(
    path: pathlib.Path, line: int, columns: Sequence[str], values: Sequence[str]
) -> Row:
    row = dict(zip(columns, (value.strip() for value in values), strict=False))
    if len(values) != len(columns) or not (row["file"] and row["label"]):
        raise errors.UsageError(
            f"{shown(str(path))}, line {line}: {shown(','.join(values))[:100]!r} does "
            f"not have a value for each of {shown(','.join(columns))}. Complete it; a "
            "name with a comma needs double quotes"
        )
    return row


def _check_files(path: pathlib.Path, rows: Sequence[Row]) -> None:
    """Raises `UsageError` for files that don't exist or are listed twice."""
    seen: set[str] = set()
    for row in rows:
        real = os.path.realpath(path.parent / row["file"])
        if real in seen:
            raise errors.UsageError(
                f"{shown(str(path))} lists {shown(row['file'])} twice. Remove a line"
            )
        seen.add(real)
    missing = [
        row["file"] for row in rows if not os.path.exists(path.parent / row["file"])
    ]
    if missing:
        more = len(missing) - MAX_NAMED
        names = shown(", ".join(missing[:MAX_NAMED]))
        raise errors.UsageError(
            f"{len(missing)} of {counted(len(rows), 'file')} in {shown(str(path))} "
            f"can't be found: {names}{f' and {more} more' if more > 0 else ''}. Paths "
            f"are relative to {shown(str(path.parent))}"
        )


def _splits(
    path: pathlib.Path, rows: Sequence[Row], options: ReadingOptions
) -> Splits | None:
    """Returns the splits to use; None if the table has none."""
    if "split" not in rows[0]:
        if options.train_split or options.test_split:
            raise errors.UsageError(
                f"{shown(str(path))} has no column split, so that --train_split and "
                "--test_split name nothing. Omit them, or add the column"
            )
        return None
    there = {row["split"] for row in rows}
    train = options.train_split or "train"
    test = options.test_split or next((s for s in TEST_SPLITS if s in there), "test")
    for split in (train, test):
        if split not in there:
            found = shown(", ".join(sorted(other or "''" for other in there)))
            raise errors.UsageError(
                f"{shown(str(path))} has no image of the split {shown(split)!r}, only "
                f"of {found[:200]}. Pass --train_split and --test_split, or remove the "
                "column to have the images divided"
            )
    if train == test:
        raise errors.UsageError(
            f"--train_split and --test_split are both {shown(train)!r}: tests on "
            "training images show nothing. Choose two"
        )
    return Splits(train, test)


def _classes(rows: Iterable[Row]) -> list[str]:
    """Returns the names of the classes, in the order of the labels."""
    names = {row["label"] for row in rows}
    if all(name.isascii() and name.isdigit() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _check_classes(
    path: pathlib.Path, splits: Splits, classes: list[str], test: Sequence[Row]
) -> None:
    assembly.check_number(str(path), classes)
    if unknown := sorted({row["label"] for row in test} - set(classes)):
        raise errors.UsageError(
            f"{shown(str(path))}: the {shown(splits.test)} images have labels that no "
            f"{shown(splits.train)} image has: {shown(', '.join(unknown[:MAX_NAMED]))}."
            " Every class needs images to train on"
        )


def _examples(
    path: pathlib.Path,
    rows: Sequence[Row],
    classes: Sequence[str],
    options: ReadingOptions,
) -> assembly.Examples:
    """Returns the images of some rows, in mixed order."""
    indices = {name: index for index, name in enumerate(classes)}
    order = division.mixed_order([row["file"] for row in rows])
    rows = [rows[index] for index in order]

    def decode(index: int) -> np.ndarray:
        file = path.parent / rows[index]["file"]
        return decoding.decode_file(file, options.image_size, options.resize)

    labels = np.array([indices[row["label"]] for row in rows], np.int32)
    return assembly.Examples([row["file"] for row in rows], labels, decode)


def _unreadable(path: pathlib.Path, error: Exception) -> errors.UsageError:
    return errors.UsageError(
        f"{shown(str(path))} can't be read as CSV in UTF-8 ({errors.reason(error)}). "
        f"{_FORMAT}"
    )
