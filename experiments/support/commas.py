"""Paths with commas in them, in flags that are split at commas."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Callable, Sequence

from absl import flags

from experiments.support import assignments
from normtest_tf import backbones, datasets, errors
from normtest_tf.system import files


def check_datasets(values: Sequence[str]) -> None:
    """Checks that no folder or table of images was split at a comma in its path.

    Args:
        values: The values of `--datasets`.

    Raises:
        UsageError: If one was; the message shows how to write it.
    """

    def exists(value: str) -> bool:
        kind, colon, path = value.partition(":")
        return bool(colon) and kind in ("folder", "csv") and _exists(path)

    _check("datasets", values, exists, lambda v: v in datasets.DATASETS or exists(v))


def check_models(values: Sequence[str]) -> None:
    """Checks that no model file was split at a comma in its path.

    Args:
        values: The values of `--models`.

    Raises:
        UsageError: If one was; the message shows how to write it.
    """

    def exists(value: str) -> bool:
        return backbones.names_file(value) and _exists(value)

    known = backbones.ARCHITECTURES
    _check("models", values, exists, lambda v: v in known or exists(v))


def check_weights(values: Sequence[str], models: Sequence[str] = ()) -> None:
    """Checks that no weights file was split at a comma in its path.

    Args:
        values: The values of `--weights`: PATH or MODEL=PATH.
        models: The values of `--models`.

    Raises:
        UsageError: If one was; the message shows how to write it.
    """

    def makes_sense(value: str) -> bool:
        model, _ = assignments.split(value, models)
        return model in models or model in backbones.ARCHITECTURES

    def exists(value: str) -> bool:
        model, weights = assignments.split(value, models)
        # `none` is all that a model's own file can be combined with.
        return _exists(weights) or (model in models and weights == "none")

    _check("weights", values, exists, makes_sense)


def _exists(path: str) -> bool:
    """Tells whether there is such a file or folder; never raises `OSError`."""
    return bool(path.strip()) and os.path.exists(files.expand(path))


def _check(
    flag: str,
    values: Sequence[str],
    exists: Callable[[str], bool],
    makes_sense: Callable[[str], bool],
) -> None:
    """Raises `UsageError` if values that make no sense alone are a path together."""
    for first, last in itertools.combinations(range(len(values)), 2):
        parts = values[first : last + 1]
        if all(map(makes_sense, parts)):
            continue
        for comma in (",", ", "):  # Space around values has been taken off.
            whole = comma.join(parts)
            if exists(whole):
                entries = [*values[:first], whole, *values[last + 1 :]]
                quoted = flags.CsvListSerializer(",").serialize(entries)
                raise errors.UsageError(
                    f"--{flag} is split at commas, but there is {whole}, with a comma "
                    "in its path. Put it in double quotes: "
                    f"--{flag}={shlex.quote(quoted)}"
                )
