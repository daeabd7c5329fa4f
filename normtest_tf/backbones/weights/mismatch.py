"""Errors that name the first difference between a weights file and a model."""

from __future__ import annotations

import pathlib
from collections.abc import Collection, Sequence

import numpy as np

from normtest_tf import errors

ADVICE = "does it hold another network's weights?"


def check_names(
    path: pathlib.Path, kind: str, received: Collection[str], expected: Collection[str]
) -> None:
    """Raises if the names in a file are not those that the model needs.

    Args:
        path: The file.
        kind: What is named: `tensor` or `variable`.
        received: The names in the file.
        expected: The names that the model needs.

    Raises:
        UsageError: If a name is missing or unknown; it quotes the alphabetically
            first one.
    """
    for problem, names in (
        ("lacks", set(expected) - set(received)),
        ("has the unknown", set(received) - set(expected)),
    ):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise errors.UsageError(
                f"{path} {problem} {kind} {min(names)!r}{more}; {ADVICE}"
            )


def check_shape(
    path: pathlib.Path, what: str, received: Sequence[int], expected: Sequence[int]
) -> None:
    """Raises if something in a file does not have the shape that the model needs.

    Args:
        path: The file.
        what: What has the shape, such as `tensor 'fc.weight'`.
        received: The shape in the file.
        expected: The shape that the model needs.

    Raises:
        UsageError: If the shapes differ.
    """
    if tuple(received) != tuple(expected):
        raise errors.UsageError(
            f"{path}: {what} has shape {list(received)}, expected {list(expected)}; "
            + ADVICE
        )


def check_finite(path: pathlib.Path, what: str, value: np.ndarray) -> None:
    """Raises if something in a file has values that are NaN or infinite.

    Args:
        path: The file.
        what: What has the values, such as `tensor 'fc.weight'`.
        value: Its values, numbers.

    Raises:
        UsageError: If a value is not finite.
    """
    if not np.isfinite(value).all():
        raise errors.UsageError(
            f"{path}: {what} has values that are not finite; choose other weights, "
            "such as those of an earlier epoch"
        )
