"""Checkpoints: a run's progress, and the files that it resumes from.

The last two are kept, as `checkpoints/epoch-00003.ckpt`. A file consists of

    8 bytes    `NORMCKP1`, the format
    32 bytes   the SHA-256 of all that follows
    the rest   a safetensors file: named tensors, and JSON in the tensor `meta`

The digest is compared before anything is parsed, so a file that is truncated, or has
a single bit flipped, is never used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import shutil
import time
from typing import Any

import keras
import numpy as np
import safetensors.numpy

from normtest_tf import errors
from normtest_tf.runs.folder import CHECKPOINTS, RunFolder
from normtest_tf.runs.history import Rule
from normtest_tf.system import files, workers
from normtest_tf.training import EpochRow
from normtest_tf.training.loop import TrainingState

MAGIC = b"NORMCKP1"
_START = len(MAGIC) + hashlib.sha256().digest_size
# Among a checkpoint's tensors.
_META, _LAST_CLASSES, _KEPT_CLASSES = "meta", "last_classes", "kept_classes"


class UnreadableError(ValueError):
    """Bytes that are not a complete checkpoint."""


@dataclasses.dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a file holds.

    Attributes:
        epoch: The number of completed epochs.
        meta: Values for JSON.
        tensors: Named arrays.
    """

    epoch: int
    meta: dict[str, Any]
    tensors: dict[str, np.ndarray]


def encode(checkpoint: Checkpoint) -> bytes:
    """Returns a checkpoint as the content of a file."""
    meta = {"epoch": checkpoint.epoch, "meta": checkpoint.meta}
    text = json.dumps(meta, allow_nan=False).encode()
    content = safetensors.numpy.save(
        {**checkpoint.tensors, _META: np.frombuffer(text, np.uint8)}
    )
    return MAGIC + hashlib.sha256(content).digest() + content


def decode(data: bytes) -> Checkpoint:
    """Returns the checkpoint that `encode` turned into bytes."""
    content = data[_START:]
    if data[:_START] != MAGIC + hashlib.sha256(content).digest():
        raise UnreadableError("its content is corrupt or incomplete")
    try:
        tensors = safetensors.numpy.load(content)
        meta = json.loads(tensors.pop(_META).tobytes())
        return Checkpoint(int(meta["epoch"]), dict(meta["meta"]), tensors)
    except Exception as error:
        raise UnreadableError(errors.one_line(error)) from error


def file_name(epoch: int) -> str:
    """Returns the name of the checkpoint after an epoch, counted from 1."""
    return CHECKPOINTS.replace("*", f"{epoch:05}")


class Store:
    """The checkpoints of a run, in a folder of their own; the last two are kept."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._last: pathlib.Path | None = None

    def read_latest(self) -> tuple[Checkpoint | None, list[str]]:
        """Returns the latest readable checkpoint, and a note on each later one."""
        problems = []
        for path in sorted(self._folder.glob(CHECKPOINTS), reverse=True):
            try:
                checkpoint = decode(path.read_bytes())
            except (OSError, UnreadableError) as error:
                problems.append(
                    f"skipped the checkpoint {path}: {errors.one_line(error)}"
                )
            else:
                self._last = path
                return checkpoint, problems
        return None, problems

    def write(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint; it and the last good one before it are kept."""
        path = self._folder / file_name(checkpoint.epoch)
        with files.atomic_path(path) as temporary:
            temporary.write_bytes(encode(checkpoint))
        for other in self._folder.glob(CHECKPOINTS):
            if other not in (path, self._last):
                other.unlink()
        self._last = path

    def remove(self) -> None:
        """Removes all checkpoints."""
        shutil.rmtree(self._folder, ignore_errors=True)


def remove_of_finished(folder: RunFolder) -> None:
    """Removes the checkpoints of a run that was killed just after it finished."""
    if folder.checkpoints.is_dir():
        with contextlib.suppress(errors.Locked), files.only_writer(folder.path):
            if folder.is_finished():
                Store(folder.checkpoints).remove()


@dataclasses.dataclass(frozen=True)
class Spent:
    """The time of all processes of a run, and the peak memory of any of them."""

    seconds: float = 0.0
    peak_memory_mib: float = 0.0  # 0 if unknown.

    def since(self, started: float) -> Spent:
        """Adds this process, which started at `started` (`time.perf_counter`)."""
        return Spent(
            self.seconds + time.perf_counter() - started,
            max(self.peak_memory_mib, workers.peak_mebibytes() or 0.0),
        )


@dataclasses.dataclass
class KeptWeights:
    """The weights of the epoch selected by `--keep`, among the epochs so far.

    Attributes:
        column: Of the history; the epoch where it is highest, or the final one.
        epoch: The selected epoch, counted from 1; 0 before the first.
        best: The column's value there.
        weights: Its weights; none for the final epoch's, which the model has.
        classes: The predicted class of each test image in it; None if unknown, as
            after resuming from a checkpoint of version 0.2.0.
    """

    column: str | None
    epoch: int = 0
    best: float = -1.0
    weights: list[np.ndarray] = dataclasses.field(default_factory=list)
    classes: np.ndarray | None = None

    def consider(
        self, row: EpochRow, model: keras.Model, classes: np.ndarray | None = None
    ) -> None:
        """Takes the model's weights if the epoch that has just ended is better."""
        if self.column is None:
            self.epoch, self.classes = int(row["epoch"]), classes
        elif row[self.column] > self.best:
            self.epoch, self.best = int(row["epoch"]), row[self.column]
            self.weights, self.classes = model.get_weights(), classes


@dataclasses.dataclass
class RunState:
    """A run's progress: all that a checkpoint has to hold.

    Attributes:
        kept: The weights that `model.keras` will hold, as things stand.
        rows: The history so far, one row per epoch.
        training: What to resume training from; None at the start.
        classes: The predicted class of each test image in the last epoch.
        spent: By the processes before this one.
        resumed_epochs: The completed epochs each time that the run was resumed.
    """

    kept: KeptWeights
    rows: list[EpochRow] = dataclasses.field(default_factory=list)
    training: TrainingState | None = None
    classes: np.ndarray | None = None
    spent: Spent = dataclasses.field(default_factory=Spent)
    resumed_epochs: list[int] = dataclasses.field(default_factory=list)

    def to_checkpoint(
        self, model: keras.Model, spent: Spent, extra: dict[str, Any]
    ) -> Checkpoint:
        """Copies what the next epoch, and the end of the run, depend on."""
        training = TrainingState.capture(model, len(self.rows))
        meta = {
            **extra,
            "rows": list(self.rows),
            "kept": {"epoch": self.kept.epoch, "best": self.kept.best},
            "spent": dataclasses.asdict(spent),
            "resumed_epochs": self.resumed_epochs,
        }
        tensors = {
            **_named("model", training.model),
            **_named("optimizer", training.optimizer),
            **_named("kept", self.kept.weights),
        }
        classes = {_LAST_CLASSES: self.classes, _KEPT_CLASSES: self.kept.classes}
        known = {name: array for name, array in classes.items() if array is not None}
        return Checkpoint(training.epoch, meta, tensors | known)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, rule: Rule) -> RunState:
        """Returns the state stored by `to_checkpoint`, to resume from."""
        meta, tensors = checkpoint.meta, checkpoint.tensors
        return cls(
            kept=KeptWeights(
                rule.maximises,
                **meta["kept"],
                weights=_listed("kept", tensors),
                classes=tensors.get(_KEPT_CLASSES),
            ),
            rows=meta["rows"],
            training=TrainingState(
                checkpoint.epoch,
                _listed("model", tensors),
                _listed("optimizer", tensors),
            ),
            classes=tensors.get(_LAST_CLASSES),
            spent=Spent(**meta["spent"]),
            resumed_epochs=[*meta["resumed_epochs"], checkpoint.epoch],
        )


def _named(prefix: str, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Names arrays by their place in a list."""
    return {f"{prefix}/{index:05}": array for index, array in enumerate(arrays)}


def _listed(prefix: str, tensors: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Returns the list that `_named` has named."""
    names = sorted(name for name in tensors if name.startswith(f"{prefix}/"))
    return [tensors[name] for name in names]
