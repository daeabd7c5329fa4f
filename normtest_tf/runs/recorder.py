"""Writes a run's folder while the run trains, and resumes from its checkpoints.

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
import os
import pathlib
import re
import shutil
import time
from typing import Any

import keras
import numpy as np
import safetensors.numpy
import tensorflow as tf

from normtest_tf import errors
from normtest_tf.runs import metadata, model_file, record
from normtest_tf.runs.config import RunConfig
from normtest_tf.runs.folder import CHECKPOINTS, RULES, Rule, RunFolder, summarise
from normtest_tf.runs.record import ConfigRecord, Predictions, ResultRecord
from normtest_tf.system import files
from normtest_tf.text import Notify
from normtest_tf.training import EpochRow
from normtest_tf.training.loop import Evaluation, TrainingState

CHECKPOINT_SECONDS = 10  # A short run is cheaper to repeat than to store.
MAGIC = b"NORMCKP1"
_START = len(MAGIC) + hashlib.sha256().digest_size
# Among a checkpoint's tensors.
_META, _LAST_CLASSES, _KEPT_CLASSES = "meta", "last_classes", "kept_classes"


@dataclasses.dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a file holds."""

    epoch: int  # The number of completed epochs.
    meta: dict[str, Any]  # For JSON.
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
    """Returns the checkpoint that `encode` turned into bytes, or raises an error."""
    content = data[_START:]
    if data[:_START] != MAGIC + hashlib.sha256(content).digest():
        raise ValueError("its content is corrupt or incomplete")
    tensors = safetensors.numpy.load(content)
    meta = json.loads(tensors.pop(_META).tobytes())
    return Checkpoint(meta["epoch"], meta["meta"], tensors)


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
            except Exception as error:
                reason = errors.one_line(error)
                problems.append(f"skipped the checkpoint {path}: {reason}")
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
            max(self.peak_memory_mib, files.peak_mebibytes() or 0.0),
        )


@dataclasses.dataclass
class KeptWeights:
    """The weights of the epoch selected by `--keep`, among the epochs so far."""

    column: str | None  # Of the history: highest in that epoch; None: the final one.
    epoch: int = 0  # Counted from 1; 0 before the first.
    best: float = -1.0  # The column's value there.
    # None for the final epoch's, which the model has.
    weights: list[np.ndarray] = dataclasses.field(default_factory=list)
    # Of the test images.
    classes: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0))

    def consider(self, row: EpochRow, model: keras.Model, classes: np.ndarray) -> None:
        """Takes the model's weights if the epoch that has just ended is better."""
        if self.column is None:
            self.epoch, self.classes = int(row["epoch"]), classes
        elif row[self.column] > self.best:
            self.epoch, self.best = int(row["epoch"]), row[self.column]
            self.weights, self.classes = model.get_weights(), classes


@dataclasses.dataclass
class RunState:
    """A run's progress: all that a checkpoint has to hold."""

    kept: KeptWeights  # What `model.keras` will hold, as things stand.
    rows: list[EpochRow] = dataclasses.field(default_factory=list)
    training: TrainingState | None = None  # What to resume from; None at the start.
    # Of the test images, in the last epoch.
    classes: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0))
    spent: Spent = dataclasses.field(default_factory=Spent)  # Before this process.
    # The completed epochs each time that the run was resumed.
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
        groups = {
            "model": training.model,
            "optimizer": training.optimizer,
            "kept": self.kept.weights,
        }
        tensors = {
            f"{group}/{index:05}": array
            for group, arrays in groups.items()
            for index, array in enumerate(arrays)
        }
        tensors |= {_LAST_CLASSES: self.classes, _KEPT_CLASSES: self.kept.classes}
        return Checkpoint(training.epoch, meta, tensors)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, rule: Rule) -> RunState:
        """Returns the state stored by `to_checkpoint`, to resume from."""
        meta, tensors = checkpoint.meta, checkpoint.tensors

        def arrays(group: str) -> list[np.ndarray]:
            names = sorted(name for name in tensors if name.startswith(f"{group}/"))
            return [tensors[name] for name in names]

        kept = KeptWeights(
            rule.maximises,
            **meta["kept"],
            weights=arrays("kept"),
            classes=tensors[_KEPT_CLASSES],
        )
        return cls(
            kept,
            meta["rows"],
            TrainingState(checkpoint.epoch, arrays("model"), arrays("optimizer")),
            tensors[_LAST_CLASSES],
            Spent(**meta["spent"]),
            [*meta["resumed_epochs"], checkpoint.epoch],
        )


class Recorder:
    """Records a run: history, checkpoints, kept weights, result.

    A checkpoint holds the whole history, from which the other files are written
    again, so a process may be killed between any two writes. `state` is what the run
    has reached, and where training resumes.
    """

    def __init__(
        self,
        config: RunConfig,
        config_record: ConfigRecord,
        model: keras.Model,
        notify: Notify,
        started: float,
    ) -> None:
        self._config = config
        self._folder = config.folder
        self._record = config_record
        self._model = model
        self._notify = notify
        self._identity = record.identity_of(config_record, model)
        self._store = Store(self._folder.checkpoints)
        self._started = started
        self._written = time.perf_counter()  # When the last checkpoint was.
        self._rule = RULES[config.keep]
        self.state = RunState(KeptWeights(self._rule.maximises))
        self._resume_or_start()
        config_record.write(self._folder)
        self._tensorboard = TensorBoard(self._folder.tensorboard, self.state.rows)

    def _resume_or_start(self) -> None:
        """Resumes from the last good checkpoint, or empties the folder."""
        for folder in (self._folder.path, self._folder.checkpoints):
            files.remove_leftovers(folder)
        checkpoint, problems = None, list[str]()
        if not self._config.overwrite:
            checkpoint, problems = self._store.read_latest()
        if problems and checkpoint is None:
            problems.append("no checkpoint can be read: the run starts anew")
        for problem in problems:
            self._notify(problem)
        if checkpoint is None:
            self._folder.start_afresh()
            return
        self._resume_from(checkpoint)
        self._folder.write_history(self.state.rows)
        self._folder.failure.unlink(missing_ok=True)

    def _resume_from(self, checkpoint: Checkpoint) -> None:
        """Resumes from a checkpoint, which must be this run's."""
        record.refuse_another_run(
            self._folder,
            "configuration, data or weights",
            checkpoint.meta["identity"],
            self._identity,
        )
        before = checkpoint.meta["environment"]
        if elsewhere := record.differences(before, self._record.environment):
            self._notify(
                "the run was started in another environment, and may differ from an "
                f"uninterrupted one in the last digits: {'; '.join(elsewhere)}"
            )
        self.state = RunState.from_checkpoint(checkpoint, self._rule)
        epochs = self._config.epochs
        self._notify(f"resuming after epoch {checkpoint.epoch} of {epochs}")

    def see(self, prefix: str, evaluation: Evaluation) -> None:
        """Takes an evaluation of the epoch that has just ended."""
        if prefix == "test":
            self.state.classes = evaluation.classes

    def add(self, row: EpochRow) -> None:
        """Records the epoch that has just ended."""
        # Recreating it would hide the cause: it was deleted, or its disk is gone.
        if not self._folder.is_started():
            raise FileNotFoundError("the folder was removed while the run wrote to it")
        state = self.state
        state.rows.append(row)
        state.kept.consider(row, self._model, state.classes)
        self._folder.write_history(state.rows)
        self._tensorboard.add(row)
        if self._is_due(int(row["epoch"])):
            environment = self._record.environment
            extra = {"identity": self._identity, "environment": environment}
            self._store.write(state.to_checkpoint(self._model, self._spent(), extra))
            self._written = time.perf_counter()

    def _is_due(self, epoch: int) -> bool:
        """Tells whether a checkpoint is written after an epoch."""
        if (every := self._config.checkpoint_every) is None:
            return time.perf_counter() - self._written > CHECKPOINT_SECONDS
        return epoch % every == 0 or epoch == self._config.epochs

    def _spent(self) -> Spent:
        return self.state.spent.since(self._started)

    def kept_weights(self) -> list[np.ndarray]:
        """Returns the weights selected by `--keep`."""
        return self.state.kept.weights or self._model.get_weights()

    def finish(
        self, model: keras.Model, test_labels: np.ndarray, *, jit_compile: bool
    ) -> ResultRecord:
        """Writes model, predictions and, last, the result; removes the checkpoints."""
        state = self.state
        resolved = dataclasses.replace(self._record.resolved, jit_compile=jit_compile)
        dataclasses.replace(self._record, resolved=resolved).write(self._folder)
        epoch = state.kept.epoch
        accuracy = state.rows[epoch - 1]["test_accuracy"]
        with files.atomic_path(self._folder.model) as path:
            model_file.save(
                model, path, metadata.describe(self._record, epoch, accuracy)
            )
        final, kept = state.classes, state.kept.classes
        correct = final == test_labels, kept == test_labels
        Predictions(final, correct[0], kept, correct[1]).write(self._folder)
        spent = self._spent()
        result = ResultRecord(
            **summarise(state.rows),
            kept_epoch=epoch,
            train_seconds=round(sum(row["seconds"] for row in state.rows), 3),
            total_seconds=round(spent.seconds, 3),
            peak_memory_mib=round(spent.peak_memory_mib, 1) or None,
            resumed_epochs=tuple(state.resumed_epochs),
        )
        result.write(self._folder)
        self._store.remove()
        return result


class TensorBoard:
    """Writes a history as `train/loss` and so on, each epoch once, or `OSError`."""

    def __init__(self, folder: pathlib.Path, rows: list[EpochRow]) -> None:
        # Otherwise TensorBoard would show two runs as one, or an epoch twice.
        shutil.rmtree(folder, ignore_errors=True)
        try:
            # As bytes: a name need not be text in any encoding.
            self._writer = tf.summary.create_file_writer(os.fsencode(folder))
        except tf.errors.OpError as error:
            raise OSError(error.message) from error
        for row in rows:
            self.add(row)

    def add(self, row: EpochRow) -> None:
        """Writes an epoch's row, and flushes it."""
        try:
            with self._writer.as_default(step=row["epoch"]):
                for name, value in row.items():
                    if name != "epoch":  # `train_loss` becomes `train/loss`.
                        tag = re.sub("_(?=(loss|accuracy)$)", "/", name)
                        tf.summary.scalar(tag, value)
            self._writer.flush()
        except tf.errors.OpError as error:
            raise OSError(error.message) from error
