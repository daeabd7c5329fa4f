"""Whether a finished run's files belong together, and to the folder they are in.

Folders are renamed and copied, and files edited or exchanged, long after a run wrote
them. What contradicts itself is refused: nobody can tell which part is right.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from normtest_tf import errors
from normtest_tf.backbones.model_files import PREFIX
from normtest_tf.backbones.registry import ARCHITECTURES, LIST_MODELS
from normtest_tf.datasets import DATASETS
from normtest_tf.normalization import SETTINGS
from normtest_tf.runs import (
    RULES,
    ConfigRecord,
    ResultRecord,
    RunFolder,
    RunName,
    history,
)
from normtest_tf.runs.folder import REPAIR
from normtest_tf.training import EpochRow

_DATASET_PREFIXES = ("folder-", "csv-", "tfds-")
_TOLERANCE = 1e-9  # Files hold all digits of an accuracy.


def check_names(folder: RunFolder, name: RunName, config: ConfigRecord) -> None:
    """Checks the names in a run's path.

    Args:
        folder: The run's folder.
        name: What its path says.
        config: What its `config.json` says.

    Raises:
        UsageError: If the two disagree, or name something that doesn't exist.
    """
    expected = _expected_name(folder, config)
    for what, key in (
        ("data set", "dataset"),
        ("model", "model"),
        ("setting", "normalization"),
        ("seed", "seed"),
    ):
        in_path, in_file = getattr(name, key), getattr(expected, key)
        if _comparable(in_path) != _comparable(in_file):
            raise errors.UsageError(
                f"{folder.config} says {what} {str(in_file)[:80]}, but the folder's "
                f"name says {str(in_path)[:80]}: was it renamed or copied? Restore its "
                "name, or delete it if it is a copy"
            )
    _check_known(folder, config)


def _expected_name(folder: RunFolder, config: ConfigRecord) -> RunName:
    """Returns the name that a run's folder should have."""
    try:
        return RunName.of(config.requested)
    except (errors.UsageError, AttributeError, TypeError) as error:
        raise errors.UsageError(
            f"{folder.config} has a value that no run has: {errors.one_line(error)}; "
            f"{REPAIR}"
        ) from error


def _comparable(name: object) -> object:
    """Returns a name in one Unicode form: some file systems store another."""
    return unicodedata.normalize("NFC", name) if isinstance(name, str) else name


def _check_known(folder: RunFolder, config: ConfigRecord) -> None:
    """Raises `UsageError` if a run names something that doesn't exist."""
    dataset, model, setting = (
        config.requested[key] for key in ("dataset", "model", "normalization")
    )
    if not dataset.startswith(_DATASET_PREFIXES) and dataset not in DATASETS:
        allowed = [*DATASETS, *(f"{prefix}NAME" for prefix in _DATASET_PREFIXES)]
        raise errors.unknown_name(f"data set in {folder}:", dataset, allowed)
    if not model.startswith(PREFIX) and model not in ARCHITECTURES:
        raise errors.unknown_name(
            f"model in {folder}:", model, list(ARCHITECTURES), LIST_MODELS
        )
    if setting not in SETTINGS:
        raise errors.unknown_name(f"setting in {folder}:", setting, list(SETTINGS))


def check_history(
    folder: RunFolder,
    config: ConfigRecord,
    result: ResultRecord,
    rows: Sequence[EpochRow],
) -> None:
    """Checks a history against the two records beside it.

    Args:
        folder: The run's folder.
        config: What its `config.json` holds.
        result: What its `result.json` holds.
        rows: What its `history.csv` holds, at least one epoch.

    Raises:
        UsageError: If one of the records contradicts the history.
    """
    epochs = config.requested["epochs"]
    if len(rows) != epochs:
        raise errors.UsageError(
            f"{folder.history} ends with epoch {len(rows)}, but {folder.config.name} "
            f"says epochs={epochs} (were rows lost or added?); {REPAIR}"
        )
    summary = history.summarise(rows)
    keep = config.requested.get("keep", history.FINAL.name)
    rule = RULES.get(keep) if isinstance(keep, str) else None
    if rule is None or rule.epoch_key not in summary:
        raise errors.UsageError(
            f"{folder.config} says keep={str(keep)[:80]!r}, a rule that can't be "
            f"applied to {folder.history.name} (was one of them edited?); {REPAIR}"
        )
    _check_summary(folder, result, summary | {"kept_epoch": summary[rule.epoch_key]})


def _check_summary(
    folder: RunFolder, result: ResultRecord, summary: Mapping[str, Any]
) -> None:
    """Raises `UsageError` unless a result is the summary of its history."""
    nothing = dict.fromkeys(
        key for rule in RULES.values() for key in (rule.accuracy_key, rule.epoch_key)
    )
    for name, expected in {**nothing, **summary}.items():
        recorded = getattr(result, name)
        if recorded is None and expected is None:
            continue
        if None in (recorded, expected) or abs(recorded - expected) > _TOLERANCE:
            raise errors.UsageError(
                f"{folder.result} says {name}={_shown(recorded)}, but "
                f"{folder.history.name} says {_shown(expected)} (was one of them "
                f"edited, or is it another run's?); {REPAIR}"
            )


def _shown(value: float | None) -> str:
    return "nothing" if value is None else str(value)


def check_no_copies(histories: Mapping[RunFolder, Sequence[EpochRow]]) -> None:
    """Checks that no two runs have the same history.

    Equal accuracies happen; but losses to all digits and measured seconds differ even
    between two executions of one run.

    Args:
        histories: The rows of each run.

    Raises:
        UsageError: If a run is a copy of another.
    """
    seen: dict[tuple[tuple[float, ...], ...], RunFolder] = {}
    for folder, rows in histories.items():
        values = tuple(tuple(row[name] for name in sorted(row)) for row in rows)
        first = seen.setdefault(values, folder)
        if first is not folder:
            raise errors.UsageError(
                f"{folder.history} and {first.history} are the same, measured seconds "
                "included: one run is a copy of the other. Delete the copy, or run it "
                "again with --overwrite"
            )
