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

from normtest_tf import errors, reference_trees
from normtest_tf.reference_trees import Cell, PublishedRun

DATA = pathlib.Path(__file__).with_name("reference_data")
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
        rule: A key of `reference_trees.RULES`: whose epoch's accuracy is given.
        seeds: The seeds of the runs of each cell.
        source: Who published it, and where.
        file: Its name in the package's data.
        notes: Known weaknesses.
    """

    name: str
    title: str
    epochs: int
    rule: str
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
            rule="best_test",
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
            rule="best_test",
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
        rule: In words, whose epoch's accuracy it is, such as "best test epoch".
        runs: One a run, in the order of data sets, models, settings and seeds.
    """

    title: str
    rule: str
    runs: tuple[PublishedRun, ...]

    @property
    def values(self) -> dict[Cell, list[float]]:
        """The accuracies, 0 to 1, by data set, model and setting."""
        values = {}
        for run in self.runs:
            values.setdefault(run.cell, []).append(run.accuracy)
        return values


def load(name_or_path: str | pathlib.Path, rule: str = "best_test") -> ReferenceTable:
    """Loads published accuracies, or those that lie in a folder.

    Args:
        name_or_path: A key of `EDITIONS`; or a folder, either with the
            `best_results.json` files of the PyTorch study's code, or with the
            results of this package's runs. A folder named like an edition is
            written `./NAME`.
        rule: A key of `reference_trees.RULES`. The PyTorch study's numbers exist by
            `best_test` alone.

    Returns:
        The table.

    Raises:
        UsageError: If it is none of these, or holds a file that can't be used.
    """
    if rule not in reference_trees.RULES:
        raise errors.unknown_name("rule", rule, list(reference_trees.RULES))
    edition = EDITIONS.get(str(name_or_path))
    if edition is None:
        title, runs = str(name_or_path), _read_folder(name_or_path, rule)
    else:
        _check_best_test(rule, edition.name)
        title, runs = edition.title, _read_edition(edition)
    return ReferenceTable(title, reference_trees.RULES[rule].title, tuple(runs))


def differences(
    table: ReferenceTable, treatment: str = "finetune", control: str = "pretrain"
) -> dict[tuple[str, str], float]:
    """Returns how much one setting is above another where there is one run of each.

    Args:
        table: At most one run a cell.
        treatment: A setting.
        control: The setting to subtract.

    Returns:
        Percentage points by data set and model, for those that have both settings.

    Raises:
        UsageError: If a cell holds several runs, which have to be paired by seed.
    """
    values = table.values
    for cell, accuracies in values.items():
        if len(accuracies) > 1:
            raise errors.UsageError(
                f"{table.title} has {len(accuracies)} runs of {' '.join(cell)}; "
                "differences of single runs need one a cell. Pair the runs by seed "
                "instead"
            )
    return {
        (dataset, model): 100 * (above[0] - values[dataset, model, control][0])
        for (dataset, model, setting), above in values.items()
        if setting == treatment and (dataset, model, control) in values
    }


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


def _read_folder(path: str | pathlib.Path, rule: str) -> list[PublishedRun]:
    """Reads whichever kind of results a folder holds."""
    folder = pathlib.Path(os.path.expanduser(path))
    theirs = reference_trees.find(folder, reference_trees.STUDY_FILE)
    ours = reference_trees.find(folder, reference_trees.OWN_FILE)
    if theirs and ours:
        raise errors.UsageError(
            f"{folder} holds results of two kinds, {theirs[0]} and {ours[0]}; name the "
            "folder of one kind"
        )
    if theirs:
        _check_best_test(rule, str(folder))
        return reference_trees.read_study(folder, theirs)
    if ours:
        return reference_trees.read_own(folder, ours, rule)
    raise errors.UsageError(
        f"no published results {str(path)!r}. Allowed: an edition "
        f"({', '.join(EDITIONS)}), a folder with the PyTorch study's "
        f"{reference_trees.STUDY_FILE} files, or a folder of results of this package, "
        f"{reference_trees.OWN_LAYOUT}"
    )


def _check_best_test(rule: str, source: str) -> None:
    if rule != "best_test":
        raise errors.UsageError(
            f"the numbers of {source} exist by the rule best_test alone. "
            f"Received: {rule}"
        )
