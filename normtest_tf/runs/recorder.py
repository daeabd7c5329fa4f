"""What a run has so far: its rows, the kept weights, and the files with them."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

import keras
import numpy as np

from normtest_tf import errors, runs, training
from normtest_tf.runs import checkpoints, tensorboard
from normtest_tf.system import files, memory


class Recorder:
    """Takes up what a run's folder has, and writes each further epoch there.

    A checkpoint holds the whole history, from which the other files are written
    again, so it does not matter between which two of them a process was killed.

    Args:
        config: The run.
        record: What `config.json` holds.
        model: What is trained, with its initial weights.
        started: When the process began with the run, by `time.perf_counter`.

    Attributes:
        rows: The history so far, one dict an epoch.
        state: What to train on from, None at the start.
        notes: Sentences that the user should read.

    Raises:
        UsageError: If the folder holds the unfinished run of something else.
        OSError: If it can't be written.
    """

    def __init__(
        self,
        config: runs.RunConfig,
        record: dict[str, Any],
        model: keras.Model,
        started: float,
    ) -> None:
        self._config = config
        self._folder = config.folder
        self._record = record
        self._identity = _identity(record, model)
        self._model = model
        self._started = started
        self._keeper = _WeightsKeeper(config.keep)
        self._store = checkpoints.Store(config.folder)
        self._unwritten: checkpoints.Checkpoint | None = None
        self._resumed_epochs: list[int] = []
        self._spent = {"seconds": 0.0, "peak_memory_mib": 0.0}
        self.rows: list[dict[str, float]] = []
        self.state: training.State | None = None
        self.notes: list[str] = []
        self._begin()

    def _begin(self) -> None:
        """Goes on from the last checkpoint, or makes the folder afresh."""
        files.remove_leftovers(self._folder)
        self._store.remove_leftovers()
        checkpoint = None
        if not self._config.overwrite:
            checkpoint, problems = self._store.read_latest()
            self.notes += problems
        if checkpoint is not None:
            self._take_up(checkpoint)
            runs.write_history(self._folder, self.rows)
            (self._folder / runs.FAILURE).unlink(missing_ok=True)
        else:
            if self.notes:
                self.notes.append("no checkpoint is readable: the run starts afresh")
            runs.start_afresh(self._folder)
        files.write_json(self._folder / "config.json", self._record)
        self._curves = tensorboard.Curves(self._folder / "tensorboard", self.rows)

    def _take_up(self, checkpoint: checkpoints.Checkpoint) -> None:
        """Goes on from a checkpoint, which must be this run's."""
        meta, tensors = checkpoint.meta, checkpoint.tensors
        changed = runs.differences(meta["identity"], self._identity)
        if changed:
            what = "configuration, data or weights"
            raise runs.other_run(self._folder, what, changed)
        elsewhere = runs.differences(meta["environment"], self._record["environment"])
        if elsewhere:
            self.notes.append(
                "the run was begun in another environment and will not equal, bit by "
                f"bit, one without interruption: {'; '.join(elsewhere)}"
            )
        self.rows = meta["rows"]
        self.state = training.State(
            checkpoint.epoch,
            _unpacked("model", tensors),
            _unpacked("optimizer", tensors),
        )
        self._keeper.take_up(meta["kept"], _unpacked("kept", tensors))
        self._spent = meta["spent"]
        self._resumed_epochs = [*meta["resumed_epochs"], checkpoint.epoch]
        self.notes.append(
            f"the run goes on after epoch {checkpoint.epoch} of {self._config.epochs}"
        )

    def add(self, row: dict[str, float]) -> None:
        """Records the epoch that has just ended.

        Raises:
            OSError: If that is not possible.
        """
        # A new folder would hide the reason: somebody removed it, or a disk is gone.
        if not (self._folder / "config.json").exists():
            raise FileNotFoundError("the folder was removed while the run wrote to it")
        self.rows.append(row)
        self._keeper.consider(row, self._model)
        runs.write_history(self._folder, self.rows)
        self._curves.add(row)
        every, last = self._config.checkpoint_every, self._config.epochs
        if row["epoch"] % every == 0 or row["epoch"] == last:
            self._unwritten = None
            self._store.write(self._checkpoint())
        else:
            self._unwritten = self._checkpoint()

    def _checkpoint(self) -> checkpoints.Checkpoint:
        """Copies what the next epoch, and the end of the run, depend on."""
        state = training.State.of(self._model, len(self.rows))
        meta = {
            "identity": self._identity,
            "environment": self._record["environment"],
            "rows": list(self.rows),
            "kept": self._keeper.record(),
            "spent": self._spent_so_far(),
            "resumed_epochs": self._resumed_epochs,
        }
        tensors = {
            **_packed("model", state.model),
            **_packed("optimizer", state.optimizer),
            **_packed("kept", self._keeper.best_weights),
        }
        return checkpoints.Checkpoint(state.epoch, meta, tensors)

    def _spent_so_far(self) -> dict[str, float]:
        """Returns the time and the most memory of all processes of this run."""
        seconds = self._spent["seconds"] + time.perf_counter() - self._started
        peak = max(self._spent["peak_memory_mib"], memory.mebibytes() or 0.0)
        return {"seconds": seconds, "peak_memory_mib": peak}

    def outlook(self) -> str:
        """Says what there is to go on from."""
        again = "the same command"
        if self._config.overwrite:
            again += " without --overwrite"
        if not self.rows:
            return f"no epoch was complete, {again} starts with the first"
        return (
            f"{self._folder} keeps {len(self.rows)} of {self._config.epochs} epochs, "
            f"{again} goes on from there"
        )

    def give_up(self, reason: errors.TrainingFailed | errors.Interrupted) -> None:
        """Leaves a checkpoint of the last completed epoch, and says what failed."""
        if self._unwritten is not None:
            self._store.write(self._unwritten)
        if isinstance(reason, errors.TrainingFailed):
            failure = {"format": runs.FORMAT, "error": str(reason), **reason.details}
            files.write_json(self._folder / runs.FAILURE, failure)

    def kept_weights(self) -> list[np.ndarray]:
        """Returns the weights that `--keep` asks for."""
        return self._keeper.best_weights or self._model.get_weights()

    def finish(self, model: keras.Model, *, jit_compile: bool) -> dict[str, Any]:
        """Writes the model and, last, the result; removes the checkpoints.

        Args:
            model: What to save, with its final weights.
            jit_compile: Whether XLA compiled the training.

        Returns:
            The content of `result.json`.

        Raises:
            OSError: If that is not possible.
        """
        self._record["resolved"] |= {"jit_compile": jit_compile}
        files.write_json(self._folder / "config.json", self._record)
        with files.atomic_path(self._folder / "model.keras") as path:
            model.save(path)
        spent = self._spent_so_far()
        result = {
            "format": runs.FORMAT,
            **runs.summarise(self.rows),
            "kept_epoch": self._keeper.epoch,
            "train_seconds": round(sum(row["seconds"] for row in self.rows), 3),
            "total_seconds": round(spent["seconds"], 3),
            "peak_memory_mib": round(spent["peak_memory_mib"], 1) or None,
            "resumed_epochs": self._resumed_epochs,
        }
        files.write_json(self._folder / "result.json", result)
        self._store.remove()
        return result


class _WeightsKeeper:
    """Remembers the weights of the epoch that `--keep` asks for.

    Attributes:
        epoch: That epoch, counted from 1.
        best_weights: Its weights, none for the final epoch, which the model has.
    """

    def __init__(self, keep: str) -> None:
        self._column = None if keep == "final" else f"{keep[len('best_') :]}_accuracy"
        self._best = -1.0
        self.epoch = 0
        self.best_weights: list[np.ndarray] = []

    def consider(self, row: dict[str, float], model: keras.Model) -> None:
        """Looks at the epoch that has just ended."""
        if self._column is None:
            self.epoch = row["epoch"]
        elif row[self._column] > self._best:
            self.epoch, self._best = row["epoch"], row[self._column]
            self.best_weights = model.get_weights()

    def record(self) -> dict[str, float]:
        """Returns what `take_up` needs besides the weights."""
        return {"epoch": self.epoch, "best": self._best}

    def take_up(self, record: dict[str, float], weights: list[np.ndarray]) -> None:
        """Goes on from what an earlier process has remembered."""
        self.epoch, self._best = record["epoch"], record["best"]
        self.best_weights = weights


def _identity(record: dict[str, Any], model: keras.Model) -> dict[str, Any]:
    """Returns what must be equal for a checkpoint to be this run's, flat."""
    digest = hashlib.sha256()
    for weights in model.get_weights():
        digest.update(np.ascontiguousarray(weights))
    identity = {
        "format": record["format"],
        "data_fingerprint": record["data_fingerprint"],
        "initial_weights": digest.hexdigest(),
        **{f"requested {k}": v for k, v in record["requested"].items()},
        **{f"resolved {k}": v for k, v in record["resolved"].items()},
    }
    del identity["resolved class_names"]  # They may be many; the data's digest knows.
    return json.loads(json.dumps(identity))


def _packed(prefix: str, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Names arrays by their place in a list."""
    return {f"{prefix}/{index:05}": array for index, array in enumerate(arrays)}


def _unpacked(prefix: str, tensors: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Returns the list that `_packed` has named."""
    names = sorted(name for name in tensors if name.startswith(f"{prefix}/"))
    return [tensors[name] for name in names]
