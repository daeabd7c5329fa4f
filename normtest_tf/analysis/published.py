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
from typing import Annotated, NamedTuple, TypeAlias

from msgspec import Meta

from normtest_tf import errors
from normtest_tf.analysis import results
from normtest_tf.normalization import CONTROL, SETTINGS, TREATMENT
from normtest_tf.runs import Cell
from normtest_tf.runs.folder import LAYOUT
from normtest_tf.system import files

SEED = "223"  # The study's.
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


# By condition and by seed, or by the folder of a seed.
Accuracies: TypeAlias = dict[Condition, dict[str, float]]


@dataclasses.dataclass(frozen=True)
class PublishedTable:
    """Test accuracies to compare with, 0 to 1."""

    title: str  # In tables.
    description: str  # Where they come from, and their known weaknesses.
    accuracies: Accuracies  # Of best test epochs.
    epochs: int | None = None  # None if unknown.
    final: Accuracies = dataclasses.field(default_factory=dict)  # Very probably.

    def differences(self) -> dict[Cell, list[float]]:
        """Returns `TREATMENT` minus `CONTROL` of pairs, in points, by cell."""
        found = {}
        for condition, treated in self.accuracies.items():
            pair = condition._replace(normalization=CONTROL)
            control = self.accuracies.get(pair, {})
            if condition.normalization == TREATMENT:
                found[condition.cell] = [
                    100 * (treated[seed] - control[seed])
                    for seed in treated
                    if seed in control
                ]
        return {cell: values for cell, values in found.items() if values}


_WEAKNESSES = (
    "Known weaknesses: one run per data set, model and setting, so that no difference "
    "can be separated from chance; the best epoch was chosen on the test set"
)
# The tables that the study published, each a CSV file in this package, with title,
# description and epochs. `seed_table1_final.csv` is `assets/table1.csv` at commit
# 677ec01 of its repository.
EDITIONS = {
    "seed_table1": (
        "PyTorch study, first edition",
        "CIFAR10 and CIFAR100, settings finetune and pretrain; 50 epochs, seed 223. "
        f"{_WEAKNESSES}. Final epochs: very probably those of a table in the study's "
        "repository, whose values are 0.02 to 0.28 points below the best",
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
    folder = files.expand(name).absolute()
    accuracies: Accuracies = {}
    for condition, seed, accuracy in _of_folder(folder):
        accuracies.setdefault(condition, {})[seed] = accuracy
    return PublishedTable(folder.name, "The recipe is not checked", accuracies)


def _of_csv(name: str) -> Accuracies:
    """Reads a file of this package; one that is not there has no accuracies."""
    path = pathlib.Path(__file__).with_name(name)
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)  # The header: data set, model, normalization, accuracy.
        return {Condition(*names): {SEED: float(value)} for *names, value in rows}


def _of_folder(folder: pathlib.Path) -> list[tuple[Condition, str, float]]:
    """Reads a folder of either kind of results."""
    try:
        # One saved_model folder, or one of these for each seed.
        for pattern in (f"*/*/{FILE}", f"*/*/*/{FILE}"):
            if paths := list(folder.glob(pattern)):
                return sorted(map(_of_file, paths))
        runs = results.read(folder).runs
    except (errors.UsageError, OSError) as error:
        raise errors.UsageError(
            f"no published results {str(folder)!r}: {errors.reason(error)}. Allowed: "
            f"an edition ({', '.join(EDITIONS)}), the PyTorch study's saved_model "
            f"folder, with <dataset>/<model>-<setting>/{FILE}, a folder of such "
            f"folders, one a seed, or a folder of results of this package, {LAYOUT}"
        ) from error
    return [
        (
            Condition(*run.cell, run.name.normalization),
            str(run.name.seed),
            run.result.best_test_accuracy,
        )
        for run in runs
    ]


def _of_file(path: pathlib.Path) -> tuple[Condition, str, float]:
    """Reads one of the study's files, whose folders name its condition."""
    seed, dataset, cell = path.parts[-4:-1]
    model, _, setting = cell.rpartition("-")
    setting = FORMER_SETTINGS.get(setting, setting)
    if dataset not in STUDY_DATASETS or not model or setting not in SETTINGS:
        raise errors.UsageError(
            f"{path} is not in the study's layout, <dataset>/<model>-<setting>, with "
            f"a data set of {', '.join(STUDY_DATASETS)} and a setting of "
            f"{', '.join(SETTINGS)}"
        )
    condition = Condition(STUDY_DATASETS[dataset], model, setting)
    return condition, seed, files.read_json(path, kind=_BestResults).best_acc
