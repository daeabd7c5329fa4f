"""What a run records, as typed records, and whether it is the run that is asked for.

Only this module reads and writes `config.json`, `result.json`, `failed.json` and
`predictions.npz`; msgspec checks what it reads.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from normtest_tf import errors
from normtest_tf.normalization import ChannelStatistics
from normtest_tf.runs.folder import FORMAT, REPAIR, Accuracy, Rule, RunFolder, as_of_now
from normtest_tf.system import files, keras_setup
from normtest_tf.training import choices

if TYPE_CHECKING:
    import keras

    from normtest_tf.datasets import ImageDataset
    from normtest_tf.runs.config import RunConfig

# Of weights and statistics: their wording may change between versions.
_DESCRIPTIONS = ("source", "definition", "trained_on", "licence", "url")
_Count = Annotated[int, Meta(ge=0)]
_TEXTS = "dataset model normalization shift subset optimizer train strategy"
_COUNTS = "seed epochs batch_size warmup_epochs"
# What the rest of the code relies on, of what was requested, and of the environment.
_Requested = msgspec.defstruct(
    "Requested",
    [
        *((name, str) for name in _TEXTS.split()),
        *((name, int) for name in _COUNTS.split()),
        ("learning_rate", float),
        ("examples_per_class", int | None),
        ("recalibrate", bool),
    ],
)
_VERSIONS = "normtest_tf python keras tensorflow backend cpu"
_Environment = msgspec.defstruct(
    "Environment",
    [
        *((name, str) for name in _VERSIONS.split()),
        ("cpu_cores", int | None),
        ("gpus", list),
    ],
)


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
    # Red, green and blue, what the shift makes of black; None: black.
    padding_color: tuple[int, ...] | None = None
    division: str | None = None  # How data without a test split were divided.

    def to_json(self) -> dict[str, Any]:
        """Returns the values ready for JSON; what is not known yet is left out."""
        optional = {"jit_compile", "padding_color", "division"}
        values = dataclasses.asdict(self)
        return {
            name: value
            for name, value in values.items()
            if name not in optional or value is not None
        }


@dataclasses.dataclass(frozen=True)
class ConfigRecord:
    """What `config.json` holds: everything that is needed to repeat a run."""

    requested: dict[str, Any]  # By the names of the flags.
    resolved: ResolvedValues
    data_fingerprint: str  # The digest of all images, labels and class names.
    environment: dict[str, Any]  # Versions and hardware.
    format: Literal[1] = FORMAT

    def to_json(self) -> dict[str, Any]:
        """Returns the record ready for JSON."""
        values = {"format": self.format, **vars(self)}
        return values | {"resolved": self.resolved.to_json()}

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
    """

    best_epoch: int  # On the test images, as the PyTorch study chooses.
    best_test_accuracy: Accuracy
    final_epoch: int
    final_test_accuracy: Accuracy
    final_train_accuracy: Accuracy  # On augmented images.
    kept_epoch: int  # Whose weights `model.keras` holds.
    train_seconds: float  # Without evaluation.
    total_seconds: float  # Of all processes.
    peak_memory_mib: float | None = None  # The largest of all processes.
    resumed_epochs: tuple[int, ...] = ()  # Completed at each resumption.
    # Only of runs with validation images.
    best_validation_epoch: int | None = None
    best_validation_accuracy: Accuracy | None = None
    best_validation_test_accuracy: Accuracy | None = None
    format: Literal[1] = FORMAT

    def test_accuracy(self, rule: Rule) -> float | None:
        """Returns the test accuracy by a rule; None if it can't be applied."""
        return getattr(self, rule.accuracy_key)

    def write(self, folder: RunFolder) -> None:
        """Writes `result.json`, atomically, omitting what is unknown."""
        known = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        files.write_json(folder.result, {"format": self.format} | known)

    @classmethod
    def read(cls, folder: RunFolder) -> ResultRecord:
        """Reads `result.json`; `UsageError` if it is not what a run writes."""
        return files.read_json(folder.result, REPAIR, cls)

    def describe(self) -> str:
        """Returns the result in two or three lines of text."""
        lines = [
            f"{self.final_test_accuracy:.2%} after the final epoch "
            f"({self.final_epoch})",
            f"{self.best_test_accuracy:.2%} at best (epoch {self.best_epoch}, chosen "
            "on the test images, as in the PyTorch study)",
        ]
        if (accuracy := self.best_validation_test_accuracy) is not None:
            epoch = self.best_validation_epoch
            lines.append(
                f"{accuracy:.2%} in epoch {epoch}, chosen on validation images"
            )
        return "test accuracy  " + ("\n" + 15 * " ").join(lines)


@dataclasses.dataclass(frozen=True)
class FailureRecord:
    """What `failed.json` holds: why a run failed."""

    error: str
    # Written beside it; see `errors.TrainingFailed`.
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


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """What `predictions.npz` holds: a class for each test image, in order."""

    final_class: np.ndarray  # After the final epoch, int `[n]`.
    final_correct: np.ndarray  # Whether it is the label, bool `[n]`.
    kept_class: np.ndarray  # After the epoch that `--keep` selects.
    kept_correct: np.ndarray

    def write(self, folder: RunFolder) -> None:
        """Writes `predictions.npz`, atomically."""
        with files.atomic_path(folder.predictions) as path:
            np.savez_compressed(path, **vars(self))

    @classmethod
    def read(cls, folder: RunFolder) -> Predictions:
        """Reads `predictions.npz`; `UsageError` if it is not what a run writes."""
        try:
            # Opened here, since the folder may be within a zip.
            with folder.predictions.open("rb") as file, np.load(file) as stored:
                return cls(**stored)
        except Exception as error:
            advice = "run again with --overwrite"
            raise errors.unreadable(folder.predictions, error, advice) from error


def check_request(config: RunConfig) -> ConfigRecord | None:
    """Returns the record of the run in a folder, None if there is none to keep.

    Raises `UsageError` if it is of another configuration, and shows what differs.
    """
    folder = config.folder
    if config.overwrite or not (folder.is_finished() or folder.is_started()):
        return None
    record = ConfigRecord.read(folder)
    # A backend rounds in its own way, and draws a whole network's initial weights.
    refuse_another_run(
        folder,
        "configuration",
        record.requested | {"KERAS_BACKEND": record.environment["backend"]},
        config.resolved.requested | {"KERAS_BACKEND": keras_setup.backend()},
    )
    return record


def finished_result(config: RunConfig, dataset: ImageDataset) -> ResultRecord | None:
    """Returns the result of a run; None if there is something left to do.

    Raises `UsageError` if the folder holds another run, or one on other images (those
    held out included) or weights, or augmented otherwise, or a file is missing.
    """
    record = check_request(config)
    if record is None:
        return None
    folder = config.folder
    _check_inputs(config, record, dataset)
    if not folder.is_finished():
        return None
    missing = [path for path in (folder.model, folder.history) if not path.is_file()]
    if missing:
        raise errors.UsageError(
            f"{missing[0]} of a finished run is missing. Restore it, or pass "
            "--overwrite to run again"
        )
    return ResultRecord.read(folder)


def _check_inputs(
    config: RunConfig, record: ConfigRecord, dataset: ImageDataset
) -> None:
    """Compares inputs that a request omits, or identifies by name only.

    Every weights file of the Hugging Face Hub is called `model.safetensors`.
    """
    then, size = record.resolved, record.resolved.image_shape[0]
    augmentation = choices.resolve_augmentation(config.augmentation, size)
    padding = choices.padding(augmentation, size)
    color = choices.padding_color(padding, config.black)
    digests = (then.weights_sha256, config.resolved.network.sha256())
    examples = then.train_examples + then.validation_examples
    fingerprints = (record.data_fingerprint, dataset.fingerprint())
    values = {  # There, and now; the start of a digest is enough to compare by eye.
        "training images": (examples, len(dataset.train_images)),
        "test images": (then.test_examples, len(dataset.test_images)),
        "image shape": (then.image_shape, dataset.image_shape),
        "classes": (len(then.class_names), dataset.num_classes),
        "fingerprint of the images": [digest[:12] for digest in fingerprints],
        f"SHA-256 of the weights {then.weights}": [one and one[:12] for one in digests],
        "augmentation": (then.augmentation, augmentation),
        "padding": (then.padding, padding),
        "colour of the padding": (then.padding_color or "black", color or "black"),
    }
    there, now = ({name: pair[i] for name, pair in values.items()} for i in (0, 1))
    refuse_another_run(config.folder, "data set, weights or augmentation", there, now)


def refuse_another_run(
    folder: RunFolder, what: str, there: Mapping[str, Any], now: Mapping[str, Any]
) -> None:
    """Raises `UsageError` if a folder holds a run of another `what`."""
    if changed := differences(there, now):
        state = "a finished" if folder.is_finished() else "an unfinished"
        raise errors.UsageError(
            f"{folder} holds {state} run with another {what}: {'; '.join(changed)}. "
            "Choose another --results_dir or --seed, or pass --overwrite to replace it"
        )


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Returns `name=there, name=now` of the values, not descriptions, that differ."""
    return [
        f"{name}={stored.get(name)!r} there, {name}={wanted.get(name)!r} now"
        for name in sorted(stored.keys() | wanted.keys())
        if _computed(stored.get(name)) != _computed(wanted.get(name))
    ]


def _computed(value: Any) -> Any:  # noqa: ANN401  (any JSON)
    """Returns a recorded value without what no computation depends on."""
    if not isinstance(value, dict):
        return value
    return {k: _computed(v) for k, v in value.items() if k not in _DESCRIPTIONS}


def identity_of(record: ConfigRecord, model: keras.Model) -> dict[str, Any]:
    """Returns what must match before a checkpoint is resumed, ready for JSON."""
    digest = hashlib.sha256()
    for weights in model.get_weights():
        digest.update(np.ascontiguousarray(weights).data)
    values = record.to_json()
    del values["resolved"]["class_names"]  # Many, perhaps; the fingerprint has them.
    identity = {
        "format": record.format,
        "data_fingerprint": record.data_fingerprint,
        "initial_weights": digest.hexdigest(),
        **{f"requested {k}": v for k, v in values["requested"].items()},
        **{f"resolved {k}": v for k, v in values["resolved"].items()},
    }
    return json.loads(json.dumps(identity))
