"""What `--dataset` means: a described data set, or a kind and a location."""

from __future__ import annotations

import os
import pathlib
import re

from normtest_tf import errors
from normtest_tf.datasets.descriptions import DATASETS
from normtest_tf.system import files

FOLDER, CSV, TFDS = "folder", "csv", "tfds"
# What follows the colon, for messages.
KINDS = {FOLDER: "PATH", CSV: "PATH", TFDS: "NAME"}
_ADVICE = {
    FOLDER: "Write folder:PATH, where PATH contains train/CLASS/ and test/CLASS/, or "
    "CLASS/ alone",
    CSV: "Write csv:PATH, where PATH is a file of lines file,label or file,label,split",
    TFDS: "Write tfds:NAME or tfds:NAME/CONFIG, a data set of TensorFlow Datasets",
}
# NAME, NAME/CONFIG, and perhaps :VERSION.
_TFDS_NAME = re.compile(r"[A-Za-z_]\w*(/[\w.+-]+)?(:\d+\.\d+\.\d+)?")
PATTERNS = [f"{kind}:{location}" for kind, location in KINDS.items()]


def split(name: str) -> tuple[str, str]:
    """Splits a data set's name into its kind and its location.

    Args:
        name: What the user wrote.

    Returns:
        One of `KINDS` and a path or a name of TFDS; "" and the name itself if it is a
        key of `DATASETS`.

    Raises:
        UsageError: If it is neither, or the location can't be one.
    """
    kind, colon, location = name.partition(":")
    if not colon or kind not in KINDS:
        if name not in DATASETS:
            raise errors.unknown_name("data set", name, [*DATASETS, *PATTERNS])
        return "", name
    if not location.strip():
        what = "name" if kind == TFDS else "path"
        raise errors.UsageError(f"data set {name!r} has no {what}. {_ADVICE[kind]}")
    if kind == TFDS and not _TFDS_NAME.fullmatch(location):
        raise errors.UsageError(
            f"data set {name!r} is no name of TensorFlow Datasets. {_ADVICE[kind]}"
        )
    return kind, location


def path(location: str) -> pathlib.Path:
    """Returns the path of a folder or CSV file."""
    return files.expand(location)


def slug(name: str) -> str:
    """Returns a data set's name as it appears in result paths.

    Args:
        name: A key of `DATASETS`, which is returned unchanged; `folder:PATH` or
            `csv:PATH`, which become the kind and the last component of the path; or
            `tfds:NAME/CONFIG`, which becomes `tfds-NAME-CONFIG`.

    Returns:
        A name without path separators or white space.

    Raises:
        UsageError: If the name is unknown.

    Example:
    ```python
    assert datasets.slug("folder:/data/my flowers") == "folder-my_flowers"
    assert datasets.slug("tfds:eurosat/rgb") == "tfds-eurosat-rgb"
    ```
    """
    kind, location = split(name)
    if not kind:
        return name
    if kind == TFDS:
        return f"{kind}-" + re.sub(r"[^\w.-]+", "-", location)
    # `Path.resolve` would raise for a link that leads to itself.
    last = os.path.basename(os.path.realpath(path(location))) or "root"
    if kind == CSV:
        last = last.removesuffix(".csv")
    return f"{kind}-" + re.sub(r"[^\w.-]+", "_", last)


def check(name: str) -> None:
    """Checks a data set's name without reading any file.

    Args:
        name: What the user wrote.

    Raises:
        UsageError: If it names no data set.
    """
    split(name)
