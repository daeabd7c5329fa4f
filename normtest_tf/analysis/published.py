"""Published accuracies to compare with: the PyTorch study's and others.

The PyTorch study, TooTouch/Normalization-Test on GitHub (MIT), is what this project
reimplements. It published two tables, an edition each; `EDITIONS` describes them. All
of their runs started from timm 0.6's default weights (`WEIGHTS`) and followed the
recipe of `experiments.train`. Before comparing with them, note:

- There is one run per data set, model and setting, all with seed 223, so chance
  variation can't be estimated.
- An accuracy is that of the best epoch on the test set, which biases it upwards: a
  rule that ignores the test set would give a lower value.
- The setting `instance` can't be run as published, since a branch of the code is
  misspelt. The provenance of its column is unknown.
"""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from normtest_tf import errors
from normtest_tf.analysis import results
from normtest_tf.runs import Cell
from normtest_tf.runs.folder import LAYOUT
from normtest_tf.system import files

DATA = pathlib.Path(__file__).parent
# The setting that the study compares with `normalization.CONTROL`.
TREATMENT = "finetune"
WEIGHTS = {
    "resnet18": "tv_in1k",
    "resnet50": "a1_in1k",
    "densenet121": "ra_in1k",
    "densenet161": "tv_in1k",
}
# The study's code writes saved_model/CIFAR10/resnet18-finetune/best_results.json.
FILE = "best_results.json"
STUDY_DATASETS = {
    "CIFAR10": "cifar10",
    "CIFAR100": "cifar100",
    "SVHN": "svhn_cropped",
    "tiny_imagenet_200": "tiny_imagenet",
}
STUDY_SETTINGS = {
    "finetune": "finetune",
    "pretrain": "pretrain",
    "instance": "instance",
    "minmax": "minmax",
    "finetune_set": "finetune",  # The first edition's names.
    "pretrained_set": "pretrain",
}


class Condition(NamedTuple):
    """What runs share that differ only by chance.

    Attributes:
        dataset: The data set's name in result paths.
        model: A key of `backbones.ARCHITECTURES`.
        normalization: A key of `normalization.SETTINGS`.
    """

    dataset: str
    model: str
    normalization: str

    @property
    def cell(self) -> Cell:
        """The data set and the model."""
        return Cell(self.dataset, self.model)


@dataclasses.dataclass(frozen=True)
class PublishedTable:
    """Accuracies to compare with.

    Attributes:
        title: Their name in tables and figures.
        description: Where they come from, and their known weaknesses.
        accuracies: The test accuracies of best test epochs, 0 to 1, by condition.
        epochs: Passes over the training images in each run; None if unknown.
        final: The test accuracies of what very probably are the final epochs.
    """

    title: str
    description: str
    accuracies: dict[Condition, list[float]]
    epochs: int | None = None
    final: dict[Condition, list[float]] = dataclasses.field(default_factory=dict)


class Edition(NamedTuple):
    """One table that the study published: a CSV file in this package.

    The study's repository also holds the sixteen values of `seed_table1_final.csv`
    (`assets/table1.csv` at commit 677ec01), each 0.02 to 0.28 points below its
    published best epoch: very probably the final epochs.
    """

    title: str
    description: str
    epochs: int


_WEAKNESSES = (
    "Known weaknesses: one run per data set, model and setting, so that no difference "
    "can be separated from chance; the best epoch was chosen on the test set"
)
EDITIONS = {
    "seed_table1": Edition(
        "PyTorch study, first edition",
        "CIFAR10 and CIFAR100, settings finetune and pretrain; 50 epochs, seed 223. "
        f"{_WEAKNESSES}",
        50,
    ),
    "extended_table3": Edition(
        "PyTorch study, later edition",
        "adds SVHN, Tiny ImageNet and the settings instance and minmax; 100 epochs, "
        f"seed 223. {_WEAKNESSES}; the setting instance can't be run as published, "
        "because a branch of the code is misspelt, so the provenance of its column is "
        "unknown",
        100,
    ),
}


def load(name_or_path: str | pathlib.Path) -> PublishedTable:
    """Loads published accuracies, or those found in a folder.

    Args:
        name_or_path: A key of `EDITIONS`; or a folder, either with the
            `best_results.json` files of the PyTorch study's code, or with results
            of this package. A folder named like an edition is written `./NAME`.

    Returns:
        The table, with the accuracies of best test epochs.

    Raises:
        UsageError: If it is none of these, or contains an unusable file.

    Example:
    ```python
    table = load("seed_table1")
    table.accuracies["cifar10", "resnet18", "finetune"]  # [0.8847]
    ```
    """
    name = str(name_or_path)
    if name in EDITIONS:
        edition = EDITIONS[name]
        return PublishedTable(
            edition.title,
            edition.description,
            _grouped(_of_csv(DATA / f"{name}.csv")),
            edition.epochs,
            _grouped(_of_csv(DATA / f"{name}_final.csv")),
        )
    runs = _of_folder(files.expand(name))
    return PublishedTable(name, f"the results in {name}", _grouped(runs))


def _grouped(
    runs: Sequence[tuple[Condition, float]],
) -> dict[Condition, list[float]]:
    """Returns the accuracies of each condition's runs."""
    found: dict[Condition, list[float]] = {}
    for condition, accuracy in runs:
        found.setdefault(condition, []).append(accuracy)
    return found


def _of_csv(path: pathlib.Path) -> list[tuple[Condition, float]]:
    """Reads a file of this package; one that is not there has no accuracies."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [
            (
                Condition(row["dataset"], row["model"], row["normalization"]),
                float(row["accuracy"]),
            )
            for row in csv.DictReader(file)
        ]


def _of_folder(folder: pathlib.Path) -> list[tuple[Condition, float]]:
    """Reads a folder of either kind of results."""
    try:
        if paths := list(folder.glob(f"*/*/{FILE}")):
            return sorted((_condition(path), _accuracy(path)) for path in paths)
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


def _condition(path: pathlib.Path) -> Condition:
    """Returns the data set, model and setting of one of the study's files."""
    dataset, cell = path.parts[-3:-1]
    model, _, setting = cell.rpartition("-")
    if dataset not in STUDY_DATASETS or not model or setting not in STUDY_SETTINGS:
        raise errors.UsageError(
            f"{path} is not in the study's layout, <dataset>/<model>-<setting>, with "
            f"a data set of {', '.join(STUDY_DATASETS)} and a setting of "
            f"{', '.join(STUDY_SETTINGS)}"
        )
    return Condition(STUDY_DATASETS[dataset], model, STUDY_SETTINGS[setting])


def _accuracy(path: pathlib.Path) -> float:
    """Returns the accuracy in one of the study's files, 0 to 1."""
    accuracy = files.read_json(path).get("best_acc")
    if isinstance(accuracy, int | float) and 0 <= accuracy <= 1:
        return float(accuracy)
    raise errors.UsageError(
        f'{path}: expected {{"best_epoch": 41, "best_acc": 0.8847}}, best_acc from 0 '
        f"to 1. Received: best_acc {str(accuracy)[:80]}"
    )
