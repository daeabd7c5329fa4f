"""The folder of a run: its path, its files, and its state.

<results_dir>/<dataset>/<model>-<normalization>/seed-<seed>/

with variants of the data set and of the training behind their names:
`cifar10+contrast_0.5+20_per_class`, `resnet18+head+recalibrated`.

config.json   every resolved value, versions, device, data fingerprint
history.csv   one row per epoch
result.json   the summary; it is written last, so it marks a finished run
model.keras   the model; loads with plain Keras, takes raw uint8 images
predictions.npz  the predicted class of each test image, and whether it is right
tensorboard/  the history for TensorBoard
checkpoints/  of an unfinished run: what it resumes from
failed.json   of a run that failed: why
.lock         empty; locked by the process that writes to the folder
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import shutil
from collections.abc import Mapping
from typing import Any, NamedTuple

from normtest_tf import errors
from normtest_tf.datasets import shifts
from normtest_tf.system import files
from normtest_tf.training import choices
from normtest_tf.training.choices import ADAM, ALL

LAYOUT = "<results_dir>/<dataset>/<model>-<normalization>/seed-<seed>"
FORMAT = 1  # The version of the folder's layout and files.
PLAN = "plan.json"  # In a results folder: the requested runs.
CHECKPOINTS = "epoch-*.ckpt"  # In the folder of checkpoints.
REPAIR = f"{files.RESTORE}, or run again with --overwrite"
# What all runs did before there was a flag, by its name in a request.
ONCE_ALWAYS = {
    "deterministic": False,
    "shift": shifts.NONE,
    "examples_per_class": None,
    "warmup_epochs": 0,
    "optimizer": ADAM,
    "train": ALL,
    "recalibrate": False,
    "strategy": choices.NONE,
}
# Flags of earlier versions, with the value that all runs have now.
GONE = {"steps_per_execution": 1, "sync_batch_norm": False}
_VARIANT = "+"  # In no other name; begins what is appended to one.
_SEED_PREFIX = "seed-"
_SEED = re.compile(_SEED_PREFIX + "(0|[1-9][0-9]*)")  # Each seed has one name.


def checkpoint_name(epoch: int) -> str:
    """Returns the name of the checkpoint after an epoch, counted from 1."""
    return CHECKPOINTS.replace("*", f"{epoch:05}")


class Cell(NamedTuple):
    """A data set and a model: the unit in which settings are compared.

    Attributes:
        dataset: The data set's name in result paths.
        model: The network's name in result paths.
    """

    dataset: str
    model: str


@dataclasses.dataclass(frozen=True, order=True)
class RunName:
    """Identifies a run within its results folder.

    Attributes:
        dataset: The data set's name in paths, from `datasets.slug`, and its variants.
        model: The network's name in paths, from `backbones.slug`, and how it is
            trained, if not as the PyTorch study does.
        normalization: The setting's name.
        seed: The seed.
    """

    dataset: str
    model: str
    normalization: str
    seed: int

    def __str__(self) -> str:
        """Returns the run's path within a results folder, with slashes."""
        return (
            f"{self.dataset}/{self.model}-{self.normalization}/"
            f"{_SEED_PREFIX}{self.seed}"
        )

    @property
    def cell(self) -> Cell:
        """The data set and the model."""
        return Cell(self.dataset, self.model)

    @classmethod
    def of(cls, requested: Mapping[str, Any]) -> RunName:
        """Returns the name of a run from what was requested.

        A cell is compared within itself only, so runs whose images or regime are
        others have another cell, and no published run has its name.

        Args:
            requested: As `config.json` records it; versions without a flag left its
                value out.

        Raises:
            UsageError: If there is no such shift.
        """
        requested = {**ONCE_ALWAYS, **requested}
        per_class = requested["examples_per_class"]
        optimizer, regime = requested["optimizer"], requested["train"]
        of_data = [
            shifts.parse(requested["shift"]).slug,
            f"{per_class}_per_class" if per_class else "",
        ]
        of_training = [
            regime if regime != ALL else "",
            optimizer if optimizer != ADAM else "",
            "recalibrated" if requested["recalibrate"] else "",
        ]
        return cls(
            _VARIANT.join([requested["dataset"], *filter(None, of_data)]),
            _VARIANT.join([requested["model"], *filter(None, of_training)]),
            requested["normalization"],
            requested["seed"],
        )

    @classmethod
    def parse(cls, path: pathlib.PurePath) -> RunName:
        """Returns the name that a run's path ends in.

        Raises:
            UsageError: If the last folder is not named `seed-NUMBER`, as `str` writes
                it: `seed-02` is refused.
        """
        seed = _SEED.fullmatch(path.name)
        if len(path.parts) < 3 or seed is None:
            raise errors.UsageError(f"{path} is not named seed-NUMBER")
        dataset, setting, _ = path.parts[-3:]
        model, _, normalization = setting.rpartition("-")
        return cls(dataset, model, normalization, int(seed[1]))


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """The folder of one run, which need not exist.

    Attributes:
        path: Where it is.
    """

    path: pathlib.Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def config(self) -> pathlib.Path:
        """Every resolved value; see `record.ConfigRecord`."""
        return self.path / "config.json"

    @property
    def history(self) -> pathlib.Path:
        """One row per epoch."""
        return self.path / "history.csv"

    @property
    def result(self) -> pathlib.Path:
        """The summary of a finished run; see `record.ResultRecord`."""
        return self.path / "result.json"

    @property
    def model(self) -> pathlib.Path:
        """The trained model."""
        return self.path / "model.keras"

    @property
    def predictions(self) -> pathlib.Path:
        """What the model predicts for each test image."""
        return self.path / "predictions.npz"

    @property
    def failure(self) -> pathlib.Path:
        """Why a run failed."""
        return self.path / "failed.json"

    @property
    def checkpoints(self) -> pathlib.Path:
        """A folder with what an interrupted run resumes from."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> pathlib.Path:
        """A folder with the history for TensorBoard."""
        return self.path / "tensorboard"

    @property
    def exports(self) -> pathlib.Path:
        """A folder for the model in other formats."""
        return self.path / "export"

    def is_finished(self) -> bool:
        """Tells whether it holds a complete run.

        Raises:
            UsageError: If the folder can't be read, or `result.json` is no file.
        """
        try:
            if self.result.is_file():
                return True
        except OSError as error:
            advice = "make it readable, or choose another --results_dir"
            raise errors.unreadable(self.path, error, advice) from error
        if os.path.lexists(self.result):
            raise errors.UsageError(
                f"{self.result} is a folder or a broken link, not a file; remove it, "
                "and run again"
            )
        return False

    def is_started(self) -> bool:
        """Tells whether a run was started here, finished or not."""
        return self.config.exists()

    def start_afresh(self) -> None:
        """Creates the folder and removes an earlier run's files.

        `result.json` goes first, so that the folder never looks finished meanwhile;
        `config.json` goes last, so that checkpoints are never without it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self.result.unlink(missing_ok=True)
        for folder in (self.checkpoints, self.tensorboard):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (
            *(self.failure, self.history, self.model, self.predictions),
            self.config,
        ):
            file.unlink(missing_ok=True)


def find(results_dir: pathlib.Path) -> list[RunFolder]:
    """Returns the folders of all runs in a results folder, finished or not, sorted.

    Folders with another name than a run's are left out.
    """
    found = results_dir.glob(f"*/*/{_SEED_PREFIX}*")
    return [
        RunFolder(path)
        for path in sorted(found)
        if _SEED.fullmatch(path.name) and os.path.isdir(path)
    ]
