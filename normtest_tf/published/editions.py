"""The numbers of the PyTorch study that this project reimplements, and others' like it.

The study published two tables, an edition each; `EDITIONS` describes them. All of
their runs started from timm 0.6's default weights (`WEIGHTS`) and followed the recipe
of `experiments.train`. What to know before comparing with them:

- There is one run a cell, with seed 223, so no cell says how far chance reaches.
- An accuracy is that of the best epoch, and best means on the test set: it is higher
  than what the same run would be given by a rule that does not look.
- The setting `instance` can't be run as published, since a branch of the code is
  misspelt. How its column came about is unknown.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib

from normtest_tf import errors
from normtest_tf.analysis import results
from normtest_tf.published import pytorch_folders
from normtest_tf.published.pytorch_folders import Cell, PublishedRun

DATA = pathlib.Path(__file__).parent
WEIGHTS = {
    "resnet18": "tv_in1k",
    "resnet50": "a1_in1k",
    "densenet121": "ra_in1k",
    "densenet161": "tv_in1k",
}
_WEAKNESSES = (
    "one run a cell, so that nothing tells a difference from chance",
    "the best epoch was chosen on the test set",
)


@dataclasses.dataclass(frozen=True)
class Edition:
    """One published table.

    Attributes:
        name: Its key in `EDITIONS`.
        title: Its name for tables and figures.
        epochs: Passes over the training images in each run.
        seeds: The seeds of the runs of each cell.
        source: Who published it, and where.
        file: Its name in the package's data.
        notes: Known weaknesses.
    """

    name: str
    title: str
    epochs: int
    seeds: tuple[int, ...]
    source: str
    file: str
    notes: tuple[str, ...]


EDITIONS = {
    edition.name: edition
    for edition in (
        Edition(
            name="seed_table1",
            title="PyTorch study, first edition",
            epochs=50,
            seeds=(223,),
            source="the PyTorch study's first table: CIFAR10 and CIFAR100, settings "
            "finetune and pretrain",
            file="seed_table1.csv",
            notes=_WEAKNESSES,
        ),
        Edition(
            name="extended_table3",
            title="PyTorch study, later edition",
            epochs=100,
            seeds=(223,),
            source="the PyTorch study's later table: adds SVHN, Tiny ImageNet and the "
            "settings instance and minmax",
            file="extended_table3.csv",
            notes=(
                *_WEAKNESSES,
                "the setting instance can't be run as published, because a branch is "
                "misspelt; the provenance of its column is unknown",
            ),
        ),
    )
}


@dataclasses.dataclass(frozen=True)
class ReferenceTable:
    """Accuracies to compare with.

    Attributes:
        title: Their name for tables and figures.
        description: A sentence on where they come from.
        runs: One a run, in the order of data sets, models, settings and seeds.
    """

    title: str
    description: str
    runs: tuple[PublishedRun, ...]

    @property
    def values(self) -> dict[Cell, list[float]]:
        """The accuracies, 0 to 1, by data set, model and setting."""
        values = {}
        for run in self.runs:
            values.setdefault(run.cell, []).append(run.accuracy)
        return values


def load(name_or_path: str | pathlib.Path) -> ReferenceTable:
    """Loads published accuracies, or those that lie in a folder.

    Args:
        name_or_path: A key of `EDITIONS`; or a folder, either with the
            `best_results.json` files of the PyTorch study's code, or with the
            results of this package's runs. A folder named like an edition is
            written `./NAME`.

    Returns:
        The table, with the accuracies of best test epochs.

    Raises:
        UsageError: If it is none of these, or holds a file that can't be used.
    """
    edition = EDITIONS.get(str(name_or_path))
    if edition is None:
        runs = _read_folder(pathlib.Path(os.path.expanduser(name_or_path)))
        return ReferenceTable(
            str(name_or_path), f"the results in {name_or_path}", tuple(runs)
        )
    seeds = ", ".join(map(str, edition.seeds))
    description = (
        f"{edition.source}; {edition.epochs} epochs, seed {seeds}. Known weaknesses: "
        f"{'; '.join(edition.notes)}"
    )
    return ReferenceTable(edition.title, description, tuple(_read_edition(edition)))


def _read_edition(edition: Edition) -> list[PublishedRun]:
    with open(DATA / edition.file, encoding="utf-8", newline="") as file:
        return [
            PublishedRun(
                row["dataset"],
                row["model"],
                row["normalization"],
                float(row["accuracy"]),
            )
            for row in csv.DictReader(file, strict=True)
        ]


def _read_folder(folder: pathlib.Path) -> list[PublishedRun]:
    """Reads whichever kind of results a folder holds."""
    theirs = pytorch_folders.find(folder)
    ours = results.has_finished_run(folder)
    if theirs and ours:
        raise errors.UsageError(
            f"{folder} holds results of two kinds, {theirs[0]} and runs of this "
            "package; name the folder of one kind"
        )
    if theirs:
        return pytorch_folders.read(folder, theirs)
    if ours:
        return [
            PublishedRun(*run.cell, run.normalization, run.accuracy("best_test"))
            for run in results.read(folder).runs
        ]
    raise errors.UsageError(
        f"no published results {str(folder)!r}. Allowed: an edition "
        f"({', '.join(EDITIONS)}), a folder with the PyTorch study's "
        f"{pytorch_folders.FILE} files, or a folder of results of this package, "
        f"{results.LAYOUT}"
    )
