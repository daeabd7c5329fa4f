"""A run's progress: all that a checkpoint has to hold, and nothing else."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import keras
import numpy as np

from normtest_tf.runs.checkpoints import Checkpoint
from normtest_tf.runs.history import Rule
from normtest_tf.system import memory
from normtest_tf.training import EpochRow
from normtest_tf.training.loop import TrainingState

# Among a checkpoint's tensors.
_LAST_CLASSES, _KEPT_CLASSES = "last_classes", "kept_classes"


@dataclasses.dataclass(frozen=True)
class Spent:
    """The time and memory used by all processes of a run.

    Attributes:
        seconds: Total time of all processes.
        peak_memory_mib: Peak of any single process; 0 if unknown.
    """

    seconds: float = 0.0
    peak_memory_mib: float = 0.0

    def since(self, started: float) -> Spent:
        """Adds this process, which started at `started` (`time.perf_counter`)."""
        return Spent(
            self.seconds + time.perf_counter() - started,
            max(self.peak_memory_mib, memory.peak_mebibytes() or 0.0),
        )


class KeptWeights:
    """The weights of the epoch selected by `--keep`, among the epochs so far.

    Args:
        rule: How the epoch is chosen.

    Attributes:
        epoch: That epoch, counted from 1; 0 before the first.
        weights: Its weights; none for the final epoch's, which the model has.
        classes: The predicted class of each test image in it; None if unknown, as
            after resuming from a checkpoint of version 0.2.0.
    """

    def __init__(self, rule: Rule) -> None:
        self._column = rule.maximises
        self._best = -1.0
        self.epoch = 0
        self.weights: list[np.ndarray] = []
        self.classes: np.ndarray | None = None

    def consider(
        self, row: EpochRow, model: keras.Model, classes: np.ndarray | None = None
    ) -> None:
        """Takes the model's weights if the epoch that has just ended is better.

        Args:
            row: The epoch's.
            model: The model after it.
            classes: The predicted class of each test image.
        """
        if self._column is None:
            self.epoch, self.classes = int(row["epoch"]), classes
        elif row[self._column] > self._best:
            self.epoch, self._best = int(row["epoch"]), row[self._column]
            self.weights, self.classes = model.get_weights(), classes

    def to_json(self) -> dict[str, float]:
        """Returns all but the weights."""
        return {"epoch": self.epoch, "best": self._best}

    def restore(
        self,
        values: dict[str, float],
        weights: list[np.ndarray],
        classes: np.ndarray | None,
    ) -> None:
        """Continues from what `to_json` has returned to an earlier process."""
        self.epoch, self._best = int(values["epoch"]), values["best"]
        self.weights, self.classes = weights, classes


@dataclasses.dataclass
class RunState:
    """A run's progress.

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
        """Copies what the next epoch, and the end of the run, depend on.

        Args:
            model: What is being trained, after the last of `rows`.
            spent: Up to now.
            extra: What else the checkpoint should hold, ready for JSON.
        """
        training = TrainingState.capture(model, len(self.rows))
        meta = {
            **extra,
            "rows": list(self.rows),
            "kept": self.kept.to_json(),
            "spent": dataclasses.asdict(spent),
            "resumed_epochs": self.resumed_epochs,
        }
        tensors = {
            **_named("model", training.model),
            **_named("optimizer", training.optimizer),
            **_named("kept", self.kept.weights),
        }
        for name, classes in (
            (_LAST_CLASSES, self.classes),
            (_KEPT_CLASSES, self.kept.classes),
        ):
            if classes is not None:
                tensors[name] = classes
        return Checkpoint(training.epoch, meta, tensors)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, rule: Rule) -> RunState:
        """Returns the state stored by `to_checkpoint`, to resume from."""
        meta, tensors = checkpoint.meta, checkpoint.tensors
        kept = KeptWeights(rule)
        kept.restore(meta["kept"], _listed("kept", tensors), tensors.get(_KEPT_CLASSES))
        return cls(
            kept=kept,
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
