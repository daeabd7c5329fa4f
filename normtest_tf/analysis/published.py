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
import re
import stat
from typing import NamedTuple, NoReturn

from normtest_tf import datasets, errors, normalization
from normtest_tf.analysis import results
from normtest_tf.backbones import ARCHITECTURES
from normtest_tf.runs import Cell
from normtest_tf.runs.folder import LAYOUT
from normtest_tf.system import files


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
class PublishedRun:
    """One run's accuracy.

    Attributes:
        condition: Data set, model and setting.
        accuracy: The test accuracy of the best test epoch, from 0 to 1.
    """

    condition: Condition
    accuracy: float


@dataclasses.dataclass(frozen=True)
class PublishedTable:
    """Accuracies to compare with.

    Attributes:
        title: Their name in tables and figures.
        description: Where they come from, and their known weaknesses.
        runs: In the order of data sets, models, settings and seeds.
    """

    title: str
    description: str
    runs: tuple[PublishedRun, ...]

    @property
    def accuracies(self) -> dict[Condition, list[float]]:
        """The accuracies, 0 to 1, by condition."""
        values: dict[Condition, list[float]] = {}
        for run in self.runs:
            values.setdefault(run.condition, []).append(run.accuracy)
        return values


FILE = "best_results.json"
EXAMPLE = '{"best_epoch": 41, "best_acc": 0.8847}, best_acc from 0 to 1'
MAX_BYTES = 1_000_000  # A larger file is something else with the same name.

_SEPARATORS = "-_ "
_MORE_DATASETS = {"svhn": "svhn_cropped", "tiny_imagenet_200": "tiny_imagenet"}


def _find(folder: pathlib.Path) -> list[pathlib.Path]:
    """Finds the study's files in a folder and its subfolders.

    Args:
        folder: It need not exist.

    Returns:
        The paths of files named `FILE`, sorted, without those above `MAX_BYTES`.

    Raises:
        UsageError: If a folder or such a file can't be read.
    """
    if not os.path.isdir(folder):
        return []
    found = [
        pathlib.Path(inner, FILE)
        for inner, _, names in os.walk(folder, onerror=_refuse)
        if FILE in names
    ]
    return sorted(path for path in found if _is_small_file(path))


def _refuse(error: OSError) -> NoReturn:
    path = pathlib.Path(error.filename)
    raise errors.unreadable(path, error, "repair or remove it") from error


def _is_small_file(path: pathlib.Path) -> bool:
    try:
        status = path.stat()
    except OSError as error:
        _refuse(error)
    return stat.S_ISREG(status.st_mode) and status.st_size <= MAX_BYTES


def _read_study(folder: pathlib.Path, paths: list[pathlib.Path]) -> list[PublishedRun]:
    """Reads the results of the PyTorch study's code.

    Args:
        folder: The folder of all runs; its own name is ignored.
        paths: From `find(folder)`.

    Returns:
        The runs, sorted by condition. Several folders may name the same one.

    Raises:
        UsageError: If a path doesn't name data set, model and setting, or a file
            lacks an accuracy.
    """
    runs = [PublishedRun(_condition(folder, path), _accuracy(path)) for path in paths]
    return sorted(runs, key=lambda run: run.condition)


def _condition(folder: pathlib.Path, path: pathlib.Path) -> Condition:
    """Returns the data set, model and setting that a file's folders name."""
    text = path.parent.relative_to(folder).as_posix()
    return Condition(
        _only_name("data set", [*datasets.DATASETS, *_MORE_DATASETS], text, path),
        _only_name("model", list(ARCHITECTURES), text, path),
        _only_name("setting", list(normalization.SETTINGS), text, path),
    )


def _only_name(kind: str, names: list[str], text: str, path: pathlib.Path) -> str:
    found = {_MORE_DATASETS.get(name, name) for name in names_in(text, names)}
    if len(found) == 1:
        return found.pop()
    what = f"names several ({', '.join(sorted(found))})" if found else "names none"
    raise errors.UsageError(
        f"{path}: its folders should name one {kind}, but the path {text!r} {what}. "
        f"Allowed: {', '.join(names)}, separated by /, -, _ or spaces"
    )


def names_in(text: str, names: list[str]) -> set[str]:
    """Finds names in a path: whole words, in any case.

    Args:
        text: Words separated by `/`, `-`, `_` or spaces.
        names: What to look for. A separator inside a name may be missing or
            different, and one may precede a number: `CIFAR-10` is cifar10.

    Returns:
        The names that occur. Where names overlap, only the longest counts:
        `keras_resnet50` is not also resnet50.
    """
    by_letters = {_letters(name): name for name in names}
    longest_first = sorted(names, key=lambda name: -len(_letters(name)))
    alternatives = "|".join(map(_pattern, longest_first))
    edge = f"[^{_SEPARATORS}/]"
    words = re.finditer(f"(?<!{edge})(?:{alternatives})(?!{edge})", text.lower())
    return {by_letters[_letters(word[0])] for word in words}


def _letters(name: str) -> str:
    return re.sub(f"[{_SEPARATORS}]", "", name)


def _pattern(name: str) -> str:
    """Returns a pattern for a name with or without separators inside."""
    return re.sub(r"_|(?<=[a-z])(?=\d)", f"[{_SEPARATORS}]?", name)


def _accuracy(path: pathlib.Path) -> float:
    """Returns the accuracy in a file, checked."""
    hint = f"expected {EXAMPLE}; repair or remove it"
    values = files.read_json(path, hint)
    if "best_acc" not in values:
        raise errors.UsageError(f"{path} lacks 'best_acc'; {hint}")
    accuracy = values["best_acc"]
    if isinstance(accuracy, int | float) and 0 <= accuracy <= 1:
        return float(accuracy)
    raise errors.UsageError(
        f"{path}: 'best_acc' is {str(accuracy)[:80]!r}, not a number from 0 to 1; "
        f"{hint}"
    )


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
    theirs = _find(folder)
    ours = results.has_finished_run(folder)
    if theirs and ours:
        raise errors.UsageError(
            f"{folder} holds results of two kinds, {theirs[0]} and runs of this "
            "package; name a folder that holds one kind"
        )
    if theirs:
        return _read_study(folder, theirs)
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
        f"{FILE} files, or a folder of results of this package, "
        f"{LAYOUT}"
    )
