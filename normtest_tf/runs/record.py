"""`config.json`, `result.json` and `failed.json`, as typed records.

Only this module reads and writes them; msgspec checks what it reads.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, TypedDict

import msgspec
from msgspec import Meta

from normtest_tf import errors
from normtest_tf.normalization import ChannelStatistics
from normtest_tf.runs.folder import FORMAT, REPAIR, RunFolder, as_of_now
from normtest_tf.runs.history import Accuracy, Rule
from normtest_tf.system import files

_Count = Annotated[int, Meta(ge=0)]


class _Requested(TypedDict):
    """What the rest of the code relies on, of what was requested."""

    dataset: str
    model: str
    normalization: str
    shift: str
    optimizer: str
    train: str
    strategy: str
    seed: int
    epochs: int
    batch_size: int
    warmup_epochs: int
    learning_rate: float
    examples_per_class: int | None
    recalibrate: bool


class _Environment(TypedDict):
    """What the rest of the code relies on, of versions and hardware."""

    normtest_tf: str
    python: str
    keras: str
    tensorflow: str
    backend: str
    cpu: str
    cpu_cores: int | None
    gpus: list[Any]


@dataclasses.dataclass(frozen=True)
class ResolvedValues:
    """The values that a run's configuration left open."""

    weights: str  # A tag, the name of a file, or `none`.
    weights_sha256: str | None  # Of the file; None for a tag.
    pretraining: dict[str, Any]  # See `backbones.Pretraining`.
    statistics: ChannelStatistics | None  # None for a setting without constants.
    precision: str
    augmentation: str
    padding: int  # Pixels on each side of an image.
    data_seed: int
    model_seed: int
    train_examples: _Count
    test_examples: _Count
    validation_examples: _Count
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    parameters: _Count
    jit_compile: bool | None = None  # None before the training has ended.
    division: str | None = None  # How data without a test split were divided.
    # Of version 0.2.0: the devices that normalised shares of a batch by themselves.
    own_statistics: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the values ready for JSON; what is not known yet is left out."""
        values = dataclasses.asdict(self)
        for name in ("jit_compile", "division", "own_statistics"):
            if values[name] is None:
                del values[name]
        return values | {
            "image_shape": list(self.image_shape),
            "class_names": list(self.class_names),
        }


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
    format: Literal[1] = FORMAT

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
        """Reads `config.json`; `UsageError` if it is not what a run writes."""
        found = files.read_json(folder.config, REPAIR, cls)
        requested = as_of_now(found.requested)
        try:
            msgspec.convert(requested, _Requested)
            msgspec.convert(found.environment, _Environment)
        except msgspec.ValidationError as error:
            raise errors.unreadable(folder.config, error, REPAIR) from error
        return dataclasses.replace(found, requested=requested)


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
    best_test_accuracy: Accuracy
    final_epoch: int
    final_test_accuracy: Accuracy
    final_train_accuracy: Accuracy
    kept_epoch: int
    train_seconds: float
    total_seconds: float
    peak_memory_mib: float | None = None
    resumed_epochs: tuple[int, ...] = ()
    best_validation_epoch: int | None = None
    best_validation_accuracy: Accuracy | None = None
    best_validation_test_accuracy: Accuracy | None = None
    format: Literal[1] = FORMAT

    def test_accuracy(self, rule: Rule) -> float | None:
        """Returns the test accuracy by a rule; None if it can't be applied."""
        return getattr(self, rule.accuracy_key)

    def write(self, folder: RunFolder) -> None:
        """Writes `result.json`, atomically, omitting rules that can't be applied."""
        values = {"format": self.format} | dataclasses.asdict(self)
        if self.best_validation_epoch is None:
            values = {
                name: value
                for name, value in values.items()
                if not name.startswith("best_validation")
            }
        files.write_json(folder.result, values)

    @classmethod
    def read(cls, folder: RunFolder) -> ResultRecord:
        """Reads `result.json`; `UsageError` if it is not what a run writes."""
        return files.read_json(folder.result, REPAIR, cls)

    def describe(self) -> str:
        """Returns the result in two or three lines of text."""
        lines = [
            f"test accuracy  {self.final_test_accuracy:.2%} after the final epoch "
            f"({self.final_epoch})",
            f"               {self.best_test_accuracy:.2%} at best (epoch "
            f"{self.best_epoch}, chosen on the test images, as in the PyTorch study)",
        ]
        if self.best_validation_test_accuracy is not None:
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
        """Reads `failed.json`; `UsageError` if it is not what a run writes."""
        values = files.read_json(folder.failure, "remove it")
        values.pop("format", None)
        return cls(str(values.pop("error", "no reason given")), values)
