"""A run's configuration, its folder, and what is read back from it.

The folder is `<results_dir>/<dataset>/<model>-<normalization>/seed-<seed>/`:

    config.json   every resolved value, versions, device, data fingerprint
    history.csv   one row an epoch
    result.json   the summary; it is written last, so it marks a finished run
    model.keras   the model; loads with plain Keras, takes raw uint8 images
    tensorboard/  the same numbers for TensorBoard
    checkpoints/  of an unfinished run: what it goes on from
    failed.json   of a run whose loss was not finite: where that happened
    .lock         empty; locked by the process that writes to the folder
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np

from normtest_tf import errors, normalization
from normtest_tf.backbones.weights import sources as weights_lib
from normtest_tf.normalization import ChannelStatistics
from normtest_tf.system import files

MAX_JSON_BYTES = 10_000_000  # A larger file is something else under the same name.
FAILURE = "failed.json"
FORMAT = 1  # Of the files in a run's folder.
KEEP = ("final", "best_test", "best_validation")
# They say where a run happens and what it risks, not what it computes.
_WHEREABOUTS = ("results_dir", "data_dir", "overwrite", "checkpoint_every")


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything a user asks of a run, under the names of the flags.

    Attributes:
        dataset: A data set's name, or `folder:PATH`.
        model: A key of `backbones.ARCHITECTURES`.
        normalization: A key of `normalization.SETTINGS`.
        weights: A tag, `none`, a path, or None for the model's default tag.
        data_dir: Where data sets lie, or None for TensorFlow Datasets' default.
        image_size: Side in pixels to resize a folder's images to.
        train_examples: Use only the first N training images; None for all.
        test_examples: Use only the first N test images; None for all.
        validation_examples: Training images set aside to select an epoch.
        pretrain_mean: Overrides the mean that the weights were pre-trained with.
        pretrain_std: Overrides their standard deviation.
        epochs: Passes over the training images.
        batch_size: Images in a training batch.
        learning_rate: Of the first epoch.
        seed: Split into a data seed and a model seed.
        precision: `auto` or a Keras dtype policy.
        keep: Whose weights `model.keras` holds: `final`, `best_test` or
            `best_validation` epoch.
        deterministic: Whether to use TensorFlow's deterministic operations alone.
        checkpoint_every: Epochs from one checkpoint to the next.
        results_dir: Folder for all results.
        overwrite: Whether to replace a run, finished or not.
    """

    dataset: str = "cifar10"
    model: str = "resnet18"
    normalization: str = "finetune"
    weights: str | None = None
    data_dir: str | None = None
    image_size: int | None = None
    train_examples: int | None = None
    test_examples: int | None = None
    validation_examples: int = 0
    pretrain_mean: tuple[float, float, float] | None = None
    pretrain_std: tuple[float, float, float] | None = None
    epochs: int = 50
    batch_size: int = 256
    learning_rate: float = 1e-3
    seed: int = 223
    precision: str = "auto"
    keep: str = "final"
    deterministic: bool = False
    checkpoint_every: int = 1
    results_dir: str = "results"
    overwrite: bool = False

    @property
    def folder(self) -> pathlib.Path:
        """The run's folder."""
        from normtest_tf import datasets

        return (
            files.expand(self.results_dir)
            / datasets.slug(self.dataset)
            / f"{self.model}-{self.normalization}"
            / f"seed-{self.seed}"
        )

    def seeds(self) -> tuple[int, int]:
        """Returns the data seed and the model seed, both below 2**31."""
        data, model = np.random.SeedSequence(self.seed).generate_state(2)
        return int(data >> 1), int(model >> 1)

    def source(self) -> weights_lib.Source:
        """Returns where the weights come from, with overridden statistics.

        Raises:
            UsageError: If model, weights or statistics can't be used.
        """
        source = weights_lib.resolve(self.model, self.weights)
        if self.pretrain_mean is None and self.pretrain_std is None:
            return source
        if self.pretrain_mean is None or self.pretrain_std is None:
            raise errors.UsageError(
                "--pretrain_mean and --pretrain_std belong together; give both"
            )
        statistics = ChannelStatistics(
            _three_floats("pretrain_mean", self.pretrain_mean),
            _three_floats("pretrain_std", self.pretrain_std, positive=True),
            "fixed",
            "--pretrain_mean and --pretrain_std",
        )
        pretraining = dataclasses.replace(source.pretraining, statistics=statistics)
        return dataclasses.replace(source, pretraining=pretraining)

    def check(self) -> None:
        """Checks all that can be checked without loading anything slow.

        Raises:
            UsageError: If a value is not allowed.
        """
        from normtest_tf import datasets

        datasets.check_name(self.dataset)
        self.source()
        if self.normalization not in normalization.SETTINGS:
            raise errors.unknown_name(
                "normalization", self.normalization, list(normalization.SETTINGS)
            )
        if self.keep not in KEEP:
            raise errors.unknown_name("value of --keep", self.keep, list(KEEP))
        if self.keep == "best_validation" and not self.validation_examples:
            raise errors.UsageError(
                "--keep=best_validation needs --validation_examples=N with N > 0"
            )
        if self.checkpoint_every < 1:
            raise errors.UsageError(
                "--checkpoint_every must be at least 1. Received: "
                f"{self.checkpoint_every}"
            )


def _three_floats(
    flag: str, values: Sequence[str | float], *, positive: bool = False
) -> tuple[float, float, float]:
    """Returns three floats, or raises a UsageError that names the flag."""
    try:
        red, green, blue = (float(value) for value in values)
    except ValueError as error:
        raise errors.UsageError(
            f"--{flag} takes three numbers, red,green,blue. Received: {values}"
        ) from error
    if not np.isfinite([red, green, blue]).all() or (
        positive and min(red, green, blue) <= 0
    ):
        raise errors.UsageError(
            f"--{flag} must be {'positive' if positive else 'finite'}. "
            f"Received: {values}"
        )
    return red, green, blue


def is_finished(folder: pathlib.Path) -> bool:
    """Tells whether a run's folder holds a complete run."""
    try:
        return (folder / "result.json").is_file()
    except OSError as error:
        raise _unreadable(folder, error) from error


def start_afresh(folder: pathlib.Path) -> None:
    """Makes a run's folder, and removes what an earlier run left in it.

    `result.json` goes first, so that the folder never looks finished meanwhile;
    `config.json` goes last, so that checkpoints are never without it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").unlink(missing_ok=True)
    for name in ("checkpoints", "tensorboard"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (FAILURE, "history.csv", "model.keras", "config.json"):
        (folder / name).unlink(missing_ok=True)


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Reads a JSON file that a run wrote.

    Raises:
        UsageError: If it is missing or not a JSON object.
    """
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ValueError(f"it is larger than {MAX_JSON_BYTES:,} bytes")
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(value, dict):
        raise errors.UsageError(f"{path} does not hold a JSON object")
    return value


def is_accuracy(value: object) -> bool:
    """Tells whether a value read from JSON is a number from 0 to 1."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value <= 1


def requested(config: RunConfig) -> dict[str, Any]:
    """Returns what decides a run's outcome, ready for JSON.

    Files and folders go by their names, not their paths: where they lie decides
    nothing, and `config.json` is fit to be shown to others. What is in them is
    recorded as `data_fingerprint` and `weights_sha256`.
    """
    from normtest_tf import datasets

    values = {
        name: value
        for name, value in dataclasses.asdict(config).items()
        if name not in _WHEREABOUTS
    }
    values["dataset"] = datasets.slug(config.dataset)
    source = config.source()
    if source.path is not None:
        values["weights"] = source.path.name
    return json.loads(json.dumps(values))


def check_same_request(config: RunConfig) -> None:
    """Checks that the run in the folder is the one that is asked for.

    Raises:
        UsageError: If it was begun with other values; the message shows them.
    """
    stored = read_json(config.folder / "config.json")
    check_format(stored, config.folder / "config.json")
    # Runs from before this flag were without it.
    there = {"deterministic": False} | stored.get("requested", {})
    changed = differences(there, requested(config))
    if changed:
        raise other_run(config.folder, "configuration", changed)


def check_format(record: dict[str, Any], path: pathlib.Path) -> None:
    """Checks that this version of the package knows what is in a run's file.

    Raises:
        UsageError: If another format is named there.
    """
    if (found := record.get("format", FORMAT)) != FORMAT:
        raise errors.UsageError(
            f"{path} was written by format {found} of a run's files, and this version "
            f"of normtest_tf reads format {FORMAT}. Choose another --results_dir, or "
            "pass --overwrite to replace the run"
        )


def other_run(folder: pathlib.Path, what: str, changed: list[str]) -> errors.UsageError:
    """Returns the error for a folder that holds another run.

    Args:
        folder: The run's folder.
        what: What differs, such as "configuration".
        changed: From `differences`.
    """
    state = "a finished" if is_finished(folder) else "an unfinished"
    return errors.UsageError(
        f"{folder} holds {state} run with another {what}: {'; '.join(changed)}. "
        "Choose another --results_dir or --seed, or pass --overwrite to replace it"
    )


def differences(stored: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Returns `name=there, name=now` of each value that two records don't share."""
    return [
        f"{name}={stored.get(name)!r} there, {name}={wanted.get(name)!r} now"
        for name in sorted(stored.keys() | wanted.keys())
        if stored.get(name) != wanted.get(name)
    ]


def write_history(folder: pathlib.Path, rows: list[dict[str, float]]) -> None:
    """Writes `history.csv`, one row an epoch, atomically."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: _round(name, value) for name, value in row.items()} for row in rows
    )
    files.write_text(folder / "history.csv", text.getvalue())


def _round(column: str, value: float) -> float:
    """Keeps all digits of what a run computes and few of what a clock says."""
    digits = {"seconds": 3, "images_per_second": 1}.get(column)
    return value if digits is None else round(value, digits)


def read_history(folder: pathlib.Path) -> list[dict[str, float]]:
    """Reads `history.csv`.

    Args:
        folder: A run's folder.

    Returns:
        One dict an epoch, from column names to numbers.

    Raises:
        UsageError: If the file is missing or holds anything but numbers.
    """
    path = folder / "history.csv"
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = [
                {name: float(value) for name, value in row.items()}
                for row in csv.DictReader(file, strict=True)
            ]
        return [{**row, "epoch": int(row["epoch"])} for row in rows]
    except (OSError, ValueError, TypeError, LookupError, csv.Error) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: pathlib.Path, error: Exception) -> errors.UsageError:
    return errors.UsageError(f"can't read {path}: {errors.one_line(error)}")


def summarise(rows: list[dict[str, float]]) -> dict[str, Any]:
    """Reports a history by each rule of choosing an epoch.

    Args:
        rows: The history, one dict an epoch.

    Returns:
        `best_epoch` and `best_test_accuracy` choose the epoch on the test images,
        as the reference does (the first of equals); `final_epoch` does not choose;
        `selected_epoch`, where there is a validation set, chooses on that.
    """
    best = max(rows, key=lambda row: row["test_accuracy"])
    final = rows[-1]
    summary = {
        "best_epoch": best["epoch"],
        "best_test_accuracy": best["test_accuracy"],
        "final_epoch": final["epoch"],
        "final_test_accuracy": final["test_accuracy"],
        "final_train_accuracy": final["train_accuracy"],
    }
    if "validation_accuracy" in final:
        selected = max(rows, key=lambda row: row["validation_accuracy"])
        summary |= {
            "selected_epoch": selected["epoch"],
            "selected_validation_accuracy": selected["validation_accuracy"],
            "selected_test_accuracy": selected["test_accuracy"],
        }
    return summary


def describe_result(result: dict[str, Any]) -> str:
    """Returns a run's result in two or three lines for people."""
    missing = {"final_epoch", "final_test_accuracy", "best_test_accuracy"} - set(result)
    if missing:
        raise errors.UsageError(
            f"the run's result.json lacks {min(missing)}; pass --overwrite to run again"
        )
    lines = [
        f"test accuracy  {result['final_test_accuracy']:.2%} after the final epoch "
        f"({result['final_epoch']})",
        f"               {result['best_test_accuracy']:.2%} at best (epoch "
        f"{result['best_epoch']}, chosen on the test images, as the reference does)",
    ]
    if "selected_epoch" in result:
        lines.append(
            f"               {result['selected_test_accuracy']:.2%} in epoch "
            f"{result['selected_epoch']}, chosen on the validation images"
        )
    return "\n".join(lines)
