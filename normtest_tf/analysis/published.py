"""Published accuracies to compare with: the PyTorch study's and others.

The PyTorch study, TooTouch/Normalization-Test on GitHub (MIT), is what this project
reimplements. All runs of its two tables started from timm 0.6's default weights
(`tv_in1k` of `resnet18` and `densenet161`, `a1_in1k` of `resnet50`, `ra_in1k` of
`densenet121`) and followed the recipe of `experiments.train`.
"""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from statistics import fmean
from typing import Annotated, NamedTuple

from msgspec import Meta

from normtest_tf import errors
from normtest_tf.analysis import results
from normtest_tf.normalization import CONTROL, SETTINGS, TREATMENT
from normtest_tf.runs import Cell
from normtest_tf.runs.folder import LAYOUT
from normtest_tf.system import files

# The study's code writes saved_model/CIFAR10/resnet18-finetune/best_results.json.
FILE = "best_results.json"
STUDY_DATASETS = {
    "CIFAR10": "cifar10",
    "CIFAR100": "cifar100",
    "SVHN": "svhn_cropped",
    "tiny_imagenet_200": "tiny_imagenet",
}
# The first edition's names.
FORMER_SETTINGS = {"finetune_set": "finetune", "pretrained_set": "pretrain"}


class Condition(NamedTuple):
    """What runs share that differ only by chance."""

    dataset: str  # Its name in result paths.
    model: str
    normalization: str

    @property
    def cell(self) -> Cell:
        """The data set and the model."""
        return Cell(self.dataset, self.model)


@dataclasses.dataclass(frozen=True)
class PublishedTable:
    """Test accuracies to compare with, 0 to 1, by condition."""

    title: str  # In tables and figures.
    description: str  # Where they come from, and their known weaknesses.
    accuracies: dict[Condition, list[float]]  # Of best test epochs.
    epochs: int | None = None  # None if unknown.
    # Of what very probably are the final epochs.
    final: dict[Condition, list[float]] = dataclasses.field(default_factory=dict)

    def differences(self) -> dict[Cell, float]:
        """Returns `TREATMENT` minus `CONTROL` in percentage points, by cell."""
        found = {}
        for condition, treated in self.accuracies.items():
            control = self.accuracies.get(condition._replace(normalization=CONTROL))
            if condition.normalization == TREATMENT and control:
                found[condition.cell] = 100 * (fmean(treated) - fmean(control))
        return found


_WEAKNESSES = (
    "Known weaknesses: one run per data set, model and setting, so that no difference "
    "can be separated from chance; the best epoch was chosen on the test set"
)
# The tables that the study published, each a CSV file in this package, with title,
# description and epochs. Its repository also holds `seed_table1_final.csv`
# (`assets/table1.csv` at commit 677ec01), whose values are each 0.02 to 0.28 points
# below the published best epochs: very probably the final ones.
EDITIONS = {
    "seed_table1": (
        "PyTorch study, first edition",
        "CIFAR10 and CIFAR100, settings finetune and pretrain; 50 epochs, seed 223. "
        f"{_WEAKNESSES}",
        50,
    ),
    "extended_table3": (
        "PyTorch study, later edition",
        "adds SVHN, Tiny ImageNet and the settings instance and minmax; 100 epochs, "
        f"seed 223. {_WEAKNESSES}; the setting instance can't be run as published, "
        "because a branch of the code is misspelt, so the provenance of its column is "
        "unknown",
        100,
    ),
}


@dataclasses.dataclass(frozen=True)
class _BestResults:
    """What one of the study's files holds, such as `{"best_acc": 0.8847}`."""

    best_acc: Annotated[float, Meta(ge=0, le=1)]


def load(name_or_path: str | pathlib.Path) -> PublishedTable:
    """Loads an edition by its name, or a folder of results; `./NAME` is a folder."""
    name = str(name_or_path)
    if name in EDITIONS:
        title, description, epochs = EDITIONS[name]
        best, final = (_of_csv(f"{name}{end}.csv") for end in ("", "_final"))
        return PublishedTable(title, description, best, epochs, final)
    accuracies: dict[Condition, list[float]] = {}
    for condition, accuracy in _of_folder(files.expand(name)):
        accuracies.setdefault(condition, []).append(accuracy)
    return PublishedTable(name, f"the results in {name}", accuracies)


def _of_csv(name: str) -> dict[Condition, list[float]]:
    """Reads a file of this package; one that is not there has no accuracies."""
    path = pathlib.Path(__file__).with_name(name)
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)  # The header: data set, model, normalization, accuracy.
        return {Condition(*names): [float(accuracy)] for *names, accuracy in rows}


def _of_folder(folder: pathlib.Path) -> list[tuple[Condition, float]]:
    """Reads a folder of either kind of results."""
    try:
        if paths := list(folder.glob(f"*/*/{FILE}")):
            return sorted(map(_of_file, paths))
        runs = results.read(folder).runs
    except (errors.UsageError, OSError) as error:
        raise errors.UsageError(
            f"no published results {str(folder)!r}: {errors.reason(error)}. Allowed: "
            f"an edition ({', '.join(EDITIONS)}), the PyTorch study's saved_model "
            f"folder, with <dataset>/<model>-<setting>/{FILE}, or a folder of results "
            f"of this package, {LAYOUT}"
        ) from error
    return [
        (Condition(*run.cell, run.name.normalization), run.result.best_test_accuracy)
        for run in runs
    ]


def _of_file(path: pathlib.Path) -> tuple[Condition, float]:
    """Reads one of the study's files, whose folders name its condition."""
    dataset, cell = path.parts[-3:-1]
    model, _, setting = cell.rpartition("-")
    setting = FORMER_SETTINGS.get(setting, setting)
    if dataset not in STUDY_DATASETS or not model or setting not in SETTINGS:
        raise errors.UsageError(
            f"{path} is not in the study's layout, <dataset>/<model>-<setting>, with "
            f"a data set of {', '.join(STUDY_DATASETS)} and a setting of "
            f"{', '.join(SETTINGS)}"
        )
    condition = Condition(STUDY_DATASETS[dataset], model, setting)
    return condition, files.read_json(path, kind=_BestResults).best_acc
