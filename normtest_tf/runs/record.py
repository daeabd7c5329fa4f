"""`config.json`, `result.json` and `failed.json`, as typed records.

Only this module reads and writes them. Files of earlier versions, with their former
keys, are still read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Mapping
from types import NoneType
from typing import Any

from normtest_tf import errors
from normtest_tf.normalization import ChannelStatistics
from normtest_tf.runs.folder import FORMAT, GONE, ONCE_ALWAYS, REPAIR, RunFolder
from normtest_tf.runs.history import Rule
from normtest_tf.system import files
from normtest_tf.system.json_values import REQUIRED, JsonReader
from normtest_tf.training import choices

# What version 0.1.0 called the values in `result.json`.
_FORMER_KEYS = {
    "selected_epoch": "best_validation_epoch",
    "selected_validation_accuracy": "best_validation_accuracy",
    "selected_test_accuracy": "best_validation_test_accuracy",
}
# Keys that the rest of the code relies on in the two plain dicts.
_REQUESTED = {
    **dict.fromkeys(("dataset", "model", "normalization"), (str,)),
    **dict.fromkeys(("shift", "optimizer", "train", "strategy"), (str,)),
    **dict.fromkeys(("seed", "epochs", "batch_size", "warmup_epochs"), (int,)),
    "learning_rate": (int, float),
    "examples_per_class": (int, NoneType),
    "recalibrate": (bool,),
}
_ENVIRONMENT = {
    **dict.fromkeys(("normtest_tf", "python", "keras", "tensorflow"), (str,)),
    **dict.fromkeys(("backend", "cpu"), (str,)),
    "cpu_cores": (int, NoneType),
    "gpus": (list,),
}
_ONCE_TEXT = ("pretrain_mean", "pretrain_std")  # Now they are numbers.
# What was not recorded before there was a choice.
_ONCE_FIXED = {"augmentation": choices.PAD_CROP_FLIP, "padding": 4}
_VALIDATION_KEYS = set(_FORMER_KEYS.values())


@dataclasses.dataclass(frozen=True)
class ResolvedValues:
    """The values that a run's configuration left open.

    Attributes:
        weights: A tag, the name of a file, or `none`.
        weights_sha256: The digest of the file, None for a tag.
        pretraining: What is known of the weights; see `backbones.Pretraining`.
        statistics: What normalises inputs, None for a setting without constants.
        precision: The Keras dtype policy of the backbone.
        augmentation: How training images were varied.
        padding: By how many pixels it padded each side of an image.
        data_seed: Decided the order of examples and their augmentation.
        model_seed: Decided the initial weights of the head.
        train_examples: The number of images trained on.
        test_examples: The number of test images.
        validation_examples: The number of validation images.
        image_shape: Height, width and 3.
        class_names: What the logits stand for.
        parameters: The number of the model's weights.
        jit_compile: Whether XLA compiled the training; None before it has ended.
        division: How the splits were made, of data without a test split.
        own_statistics: The devices that normalised their shares of a batch with batch
            statistics of their own; None for those of the whole batch.
    """

    weights: str
    weights_sha256: str | None
    pretraining: dict[str, Any]
    statistics: ChannelStatistics | None
    precision: str
    augmentation: str
    padding: int
    data_seed: int
    model_seed: int
    train_examples: int
    test_examples: int
    validation_examples: int
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    parameters: int
    jit_compile: bool | None = None
    division: str | None = None
    own_statistics: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the values ready for JSON; what is not known yet is left out."""
        values = dataclasses.asdict(self)
        values["image_shape"] = list(self.image_shape)
        values["class_names"] = list(self.class_names)
        for name in ("jit_compile", "division", "own_statistics"):
            if values[name] is None:
                del values[name]
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any], path: pathlib.Path) -> ResolvedValues:
        """Checks and converts what `to_json` has written to a file."""
        read = JsonReader(values, path)
        statistics = read("statistics", dict, NoneType)
        return cls(
            weights=read("weights", str),
            weights_sha256=read("weights_sha256", str, NoneType),
            pretraining=read("pretraining", dict),
            statistics=statistics and _statistics(statistics, path),
            precision=read("precision", str),
            augmentation=read("augmentation", str, default=_ONCE_FIXED["augmentation"]),
            padding=read("padding", int, default=_ONCE_FIXED["padding"]),
            data_seed=read("data_seed", int),
            model_seed=read("model_seed", int),
            train_examples=read.count("train_examples"),
            test_examples=read.count("test_examples"),
            validation_examples=read.count("validation_examples"),
            image_shape=read.three("image_shape", int),
            class_names=tuple(map(str, read("class_names", list))),
            parameters=read.count("parameters"),
            jit_compile=read("jit_compile", bool, default=None),
            division=read("division", str, default=None),
            own_statistics=read("own_statistics", int, default=None),
        )


@dataclasses.dataclass(frozen=True)
class ConfigRecord:
    """What `config.json` holds: everything that is needed to repeat a run.

    Attributes:
        requested: What the user asked for, by the names of the flags.
        resolved: The values it resolved to.
        data_fingerprint: The digest of all images, labels and class names.
        environment: Versions and hardware.
        format: The version of the run's files.
    """

    requested: dict[str, Any]
    resolved: ResolvedValues
    data_fingerprint: str
    environment: dict[str, Any]
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """Returns the record ready for JSON."""
        return {
            "format": self.format,
            "requested": self.requested,
            "resolved": self.resolved.to_json(),
            "data_fingerprint": self.data_fingerprint,
            "environment": self.environment,
        }

    def write(self, folder: RunFolder) -> None:
        """Writes `config.json`, atomically."""
        files.write_json(folder.config, self.to_json())

    @classmethod
    def read(cls, folder: RunFolder) -> ConfigRecord:
        """Reads `config.json`.

        Raises:
            UsageError: If it is missing, of another format or incomplete.
        """
        path = folder.config
        values = files.read_json(path, REPAIR)
        _check_format(values, path)
        read = JsonReader(values, path)
        requested = ONCE_ALWAYS | read("requested", dict)
        JsonReader({"requested": requested}, path).mapping("requested", _REQUESTED)
        return cls(
            requested={
                name: as_recorded_now(name, value)
                for name, value in requested.items()
                if name not in GONE or value != GONE[name]
            },
            resolved=ResolvedValues.from_json(read("resolved", dict), path),
            data_fingerprint=read("data_fingerprint", str),
            environment=read.mapping("environment", _ENVIRONMENT),
        )


@dataclasses.dataclass(frozen=True)
class ResultRecord:
    """What `result.json` holds: the summary of a finished run.

    Accuracies are from 0 to 1, epochs are counted from 1.

    Attributes:
        best_epoch: The best on the test images, as the PyTorch study chooses.
        best_test_accuracy: Its test accuracy.
        final_epoch: The last one.
        final_test_accuracy: Its test accuracy.
        final_train_accuracy: Its accuracy on augmented training images.
        kept_epoch: The epoch whose weights `model.keras` holds.
        train_seconds: Time spent in training, without evaluation.
        total_seconds: All time spent on the run, in all processes.
        peak_memory_mib: The most memory of any process, if the system reports it.
        resumed_epochs: The completed epochs each time that the run was resumed.
        best_validation_epoch: The best on the validation images, if there are any.
        best_validation_accuracy: Its accuracy on these.
        best_validation_test_accuracy: Its test accuracy.
        format: The version of the run's files.
    """

    best_epoch: int
    best_test_accuracy: float
    final_epoch: int
    final_test_accuracy: float
    final_train_accuracy: float
    kept_epoch: int
    train_seconds: float
    total_seconds: float
    peak_memory_mib: float | None
    resumed_epochs: tuple[int, ...] = ()
    best_validation_epoch: int | None = None
    best_validation_accuracy: float | None = None
    best_validation_test_accuracy: float | None = None
    format: int = FORMAT

    def test_accuracy(self, rule: Rule) -> float | None:
        """Returns the test accuracy by a rule; None if it can't be applied."""
        return getattr(self, rule.accuracy_key)

    def write(self, folder: RunFolder) -> None:
        """Writes `result.json`, atomically, omitting rules that can't be applied."""
        values = {"format": self.format} | dataclasses.asdict(self)
        if self.best_validation_epoch is None:
            values = {k: v for k, v in values.items() if k not in _VALIDATION_KEYS}
        files.write_json(folder.result, values)

    @classmethod
    def read(cls, folder: RunFolder) -> ResultRecord:
        """Reads `result.json`.

        Raises:
            UsageError: If it is missing, of another format or incomplete.
        """
        path = folder.result
        stored = files.read_json(path, REPAIR)
        _check_format(stored, path)
        values = {_FORMER_KEYS.get(key, key): value for key, value in stored.items()}
        read = JsonReader(values, path)
        # All three of the rule's values, or none.
        rest = None if values.get("best_validation_epoch") is None else REQUIRED
        return cls(
            best_epoch=read("best_epoch", int),
            best_test_accuracy=read.accuracy("best_test_accuracy"),
            final_epoch=read("final_epoch", int),
            final_test_accuracy=read.accuracy("final_test_accuracy"),
            final_train_accuracy=read.accuracy("final_train_accuracy"),
            kept_epoch=read("kept_epoch", int),
            train_seconds=read("train_seconds", int, float),
            total_seconds=read("total_seconds", int, float),
            peak_memory_mib=read("peak_memory_mib", int, float, default=None),
            resumed_epochs=tuple(read("resumed_epochs", list, default=[])),
            best_validation_epoch=read("best_validation_epoch", int, default=None),
            best_validation_accuracy=read.accuracy(
                "best_validation_accuracy", default=rest
            ),
            best_validation_test_accuracy=read.accuracy(
                "best_validation_test_accuracy", default=rest
            ),
        )

    def describe(self) -> str:
        """Returns the result in two or three lines of text."""
        lines = [
            f"test accuracy  {self.final_test_accuracy:.2%} after the final epoch "
            f"({self.final_epoch})",
            f"               {self.best_test_accuracy:.2%} at best (epoch "
            f"{self.best_epoch}, chosen on the test images, as in the PyTorch study)",
        ]
        if self.best_validation_epoch is not None:
            lines.append(
                f"               {self.best_validation_test_accuracy:.2%} in epoch "
                f"{self.best_validation_epoch}, chosen on the validation images"
            )
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class FailureRecord:
    """What `failed.json` holds: why a run failed.

    Attributes:
        error: The message of the error.
        details: Further values, ready for JSON; see `errors.TrainingFailed`.
    """

    error: str
    details: dict[str, Any] = dataclasses.field(default_factory=dict)

    def write(self, folder: RunFolder) -> None:
        """Writes `failed.json`, atomically."""
        values = {"format": FORMAT, "error": self.error, **self.details}
        files.write_json(folder.failure, values)

    @classmethod
    def read(cls, folder: RunFolder) -> FailureRecord:
        """Reads `failed.json`.

        Raises:
            UsageError: If it is missing or of another format.
        """
        values = files.read_json(folder.failure, "remove it")
        _check_format(values, folder.failure)
        values.pop("format", None)
        return cls(str(values.pop("error", "no reason given")), values)


def _check_format(values: Mapping[str, Any], path: pathlib.Path) -> None:
    """Raises `UsageError` if another version of the package wrote a file."""
    if (found := values.get("format", FORMAT)) != FORMAT:
        raise errors.UsageError(
            f"{path} was written by format {found} of a run's files, and this version "
            f"of normtest_tf reads format {FORMAT}. Choose another --results_dir, or "
            "pass --overwrite to replace the run"
        )


def as_recorded_now(name: str, value: Any) -> Any:  # noqa: ANN401  (any JSON)
    """Returns a value as this version records it.

    Args:
        name: Its name, in the request or in a checkpoint's identity.
        value: As an earlier version may have recorded it; None if it did not.
    """
    if value is None and name.startswith("resolved "):
        return _ONCE_FIXED.get(name.removeprefix("resolved "))
    if value is None and name.startswith("requested "):
        return ONCE_ALWAYS.get(name.removeprefix("requested "))
    if name.removeprefix("requested ") in _ONCE_TEXT and isinstance(value, list):
        with contextlib.suppress(ValueError, TypeError):
            return [float(number) for number in value]
    return value


def _statistics(values: Mapping[str, Any], path: pathlib.Path) -> ChannelStatistics:
    read = JsonReader(values, path)
    return ChannelStatistics(
        mean=read.three("mean", int, float),
        std=read.three("std", int, float),
        definition=read("definition", str),
        source=read("source", str),
    )
