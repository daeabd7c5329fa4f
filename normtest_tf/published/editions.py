"""The two tables that the PyTorch study published, and any others to compare with.

The PyTorch study is what this project reimplements. It published two tables, an
edition each; `EDITIONS` describes them. All of their runs started from timm 0.6's
default weights (`WEIGHTS`) and followed the recipe of `experiments.train`. Before
comparing with them, note:

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
import os
import pathlib

from normtest_tf import errors
from normtest_tf.analysis import results
from normtest_tf.published import pytorch_folders
from normtest_tf.published.tables import Condition, PublishedRun, PublishedTable
from normtest_tf.runs.folder import LAYOUT

DATA = pathlib.Path(__file__).parent
# The setting that the study compares with `normalization.CONTROL`.
TREATMENT = "finetune"
WEIGHTS = {
    "resnet18": "tv_in1k",
    "resnet50": "a1_in1k",
    "densenet121": "ra_in1k",
    "densenet161": "tv_in1k",
}
_WEAKNESSES = (
    "one run per data set, model and setting, so that no difference can be separated "
    "from chance",
    "the best epoch was chosen on the test set",
)


@dataclasses.dataclass(frozen=True)
class Edition:
    """One published table.

    Attributes:
        name: Its key in `EDITIONS`.
        title: Its name in tables and figures.
        epochs: Passes over the training images in each run.
        seeds: The seeds of the runs of each condition.
        contents: What was run.
        file: The name of its file in this package.
        weaknesses: Its known weaknesses.
    """

    name: str
    title: str
    epochs: int
    seeds: tuple[int, ...]
    contents: str
    file: str
    weaknesses: tuple[str, ...]

    @property
    def description(self) -> str:
        """What was run, and the known weaknesses, in a line."""
        return (
            f"{self.contents}; {self.epochs} epochs, seed "
            f"{', '.join(map(str, self.seeds))}. Known weaknesses: "
            f"{'; '.join(self.weaknesses)}"
        )


EDITIONS = {
    edition.name: edition
    for edition in (
        Edition(
            name="seed_table1",
            title="PyTorch study, first edition",
            epochs=50,
            seeds=(223,),
            contents="CIFAR10 and CIFAR100, settings finetune and pretrain",
            file="seed_table1.csv",
            weaknesses=_WEAKNESSES,
        ),
        Edition(
            name="extended_table3",
            title="PyTorch study, later edition",
            epochs=100,
            seeds=(223,),
            contents="adds SVHN, Tiny ImageNet and the settings instance and minmax",
            file="extended_table3.csv",
            weaknesses=(
                *_WEAKNESSES,
                "the setting instance can't be run as published, because a branch of "
                "the code is misspelt, so the provenance of its column is unknown",
            ),
        ),
    )
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
    edition = EDITIONS.get(str(name_or_path))
    if edition is None:
        runs = _read_folder(pathlib.Path(os.path.expanduser(name_or_path)))
        return PublishedTable(
            str(name_or_path), f"the results in {name_or_path}", tuple(runs)
        )
    return PublishedTable(
        edition.title, edition.description, tuple(_read_edition(edition))
    )


def _read_edition(edition: Edition) -> list[PublishedRun]:
    with open(DATA / edition.file, encoding="utf-8", newline="") as file:
        return [
            PublishedRun(
                Condition(row["dataset"], row["model"], row["normalization"]),
                float(row["accuracy"]),
            )
            for row in csv.DictReader(file, strict=True)
        ]


def _read_folder(folder: pathlib.Path) -> list[PublishedRun]:
    """Reads a folder of either kind of results."""
    theirs = pytorch_folders.find(folder)
    ours = results.has_finished_run(folder)
    if theirs and ours:
        raise errors.UsageError(
            f"{folder} holds results of two kinds, {theirs[0]} and runs of this "
            "package; name a folder that holds one kind"
        )
    if theirs:
        return pytorch_folders.read(folder, theirs)
    if ours:
        return [
            PublishedRun(
                Condition(*run.cell, run.name.normalization),
                run.result.best_test_accuracy,
            )
            for run in results.read(folder).runs
        ]
    raise errors.UsageError(
        f"no published results {str(folder)!r}. Allowed: an edition "
        f"({', '.join(EDITIONS)}), a folder with the PyTorch study's "
        f"{pytorch_folders.FILE} files, or a folder of results of this package, "
        f"{LAYOUT}"
    )
