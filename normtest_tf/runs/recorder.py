"""Writes a run's folder while the run trains, and resumes from what is there."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from normtest_tf import errors
from normtest_tf.runs import checkpoints, history, identity
from normtest_tf.runs.checkpoints import KeptWeights, RunState, Spent
from normtest_tf.runs.config import RunConfig
from normtest_tf.runs.folder import as_of_now
from normtest_tf.runs.record import (
    ConfigRecord,
    FailureRecord,
    Predictions,
    ResultRecord,
)
from normtest_tf.system import files
from normtest_tf.text import Notify
from normtest_tf.training import EpochRow
from normtest_tf.training.loop import Evaluation


class Recorder:
    """Records a run: history, checkpoints, kept weights, result.

    A checkpoint holds the whole history, from which the other files are written
    again, so a process may be killed between any two writes. `state` is what the run
    has reached, and where training resumes.
    """

    def __init__(
        self,
        config: RunConfig,
        record: ConfigRecord,
        model: keras.Model,
        notify: Notify,
        started: float,
    ) -> None:
        self._config = config
        self._folder = config.folder
        self._record = record
        self._model = model
        self._notify = notify
        self._identity = identity.compute(record, model)
        self._store = checkpoints.Store(self._folder.checkpoints)
        self._unwritten: checkpoints.Checkpoint | None = None
        self._started = started
        self._rule = history.RULES[config.keep]
        self.state = RunState(KeptWeights(self._rule.maximises))
        self._resume_or_start()
        record.write(self._folder)
        self._tensorboard = TensorBoard(self._folder.tensorboard, self.state.rows)

    def _resume_or_start(self) -> None:
        """Resumes from the last good checkpoint, or empties the folder."""
        for folder in (self._folder.path, self._folder.checkpoints):
            files.remove_leftovers(folder)
        checkpoint, problems = None, list[str]()
        if not self._config.overwrite:
            checkpoint, problems = self._store.read_latest()
        if problems and checkpoint is None:
            problems.append(
                "no checkpoint can be read: the run starts from the beginning"
            )
        for problem in problems:
            self._notify(problem)
        if checkpoint is None:
            self._folder.start_afresh()
            return
        self._resume_from(checkpoint)
        history.write(self._folder.history, self.state.rows)
        self._folder.failure.unlink(missing_ok=True)

    def _resume_from(self, checkpoint: checkpoints.Checkpoint) -> None:
        """Resumes from a checkpoint, which must be this run's."""
        identity.refuse_another_run(
            self._folder,
            "configuration, data or weights",
            as_of_now(checkpoint.meta["identity"], "requested "),
            self._identity,
        )
        before = checkpoint.meta["environment"]
        # Only what was recorded then; earlier versions recorded less.
        now = {name: self._record.environment.get(name) for name in before}
        if elsewhere := identity.differences(before, now):
            self._notify(
                "the run was started in another environment, and may differ from an "
                f"uninterrupted one in the last digits: {'; '.join(elsewhere)}"
            )
        self.state = RunState.from_checkpoint(checkpoint, self._rule)
        self._notify(
            f"resuming after epoch {checkpoint.epoch} of {self._config.epochs}"
        )

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
        history.write(self._folder.history, state.rows)
        self._tensorboard.add(row)
        extra = {"identity": self._identity, "environment": self._record.environment}
        checkpoint = state.to_checkpoint(self._model, self._spent(), extra)
        self._unwritten = checkpoint
        every = self._config.checkpoint_every
        if row["epoch"] % every == 0 or row["epoch"] == self._config.epochs:
            self._store.write(checkpoint)
            self._unwritten = None

    def _spent(self) -> Spent:
        return self.state.spent.since(self._started)

    def abort(self, reason: errors.TrainingFailed | KeyboardInterrupt) -> None:
        """Leaves a checkpoint of the last completed epoch, and records a failure."""
        if self._unwritten is not None:
            self._store.write(self._unwritten)
        if isinstance(reason, errors.TrainingFailed):
            FailureRecord(str(reason), reason.details).write(self._folder)

    def kept_weights(self) -> list[np.ndarray]:
        """Returns the weights selected by `--keep`."""
        return self.state.kept.weights or self._model.get_weights()

    def finish(
        self, model: keras.Model, test_labels: np.ndarray, *, jit_compile: bool
    ) -> ResultRecord:
        """Writes model, predictions and, last, the result; removes the checkpoints."""
        resolved = dataclasses.replace(self._record.resolved, jit_compile=jit_compile)
        dataclasses.replace(self._record, resolved=resolved).write(self._folder)
        with files.atomic_path(self._folder.model) as path:
            model.save(path)
        final, kept = self.state.classes, self.state.kept.classes
        if final is not None and kept is not None:
            correct = final == test_labels, kept == test_labels
            Predictions(final, correct[0], kept, correct[1]).write(self._folder)
        state, spent = self.state, self._spent()
        summary: dict[str, Any] = history.summarise(state.rows)
        result = ResultRecord(
            **summary,
            kept_epoch=state.kept.epoch,
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
                    prefix, _, rest = name.partition("_")
                    if name != "epoch":
                        is_metric = rest in ("loss", "accuracy")
                        tag = f"{prefix}/{rest}" if is_metric else name
                        tf.summary.scalar(tag, value)
            self._writer.flush()
        except tf.errors.OpError as error:
            raise OSError(error.message) from error
