"""Accuracies read from folders of results, the PyTorch study's or this package's.

Which run a file belongs to is told by the folders that it lies in. Links to folders
are not followed, so that none can lead in a circle.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import stat
from typing import NamedTuple, NoReturn, TypeAlias

from normtest_tf import datasets, errors, normalization, runs
from normtest_tf.backbones import ARCHITECTURES

Cell: TypeAlias = tuple[str, str, str]  # Data set, model, setting.

STUDY_FILE = "best_results.json"
STUDY_EXAMPLE = '{"best_epoch": 41, "best_acc": 0.8847}, best_acc from 0 to 1'
OWN_FILE = "result.json"
OWN_LAYOUT = "<dataset>/<model>-<normalization>/seed-<n>/result.json"
OWN_PATTERN = re.compile(r"([^/]+)/([^/]+)-([^/-]+)/seed-(\d{1,19})/result\.json")
MAX_BYTES = 1_000_000  # A larger file is something else under the same name.

_SEPARATORS = "-_ "
_MORE_DATASETS = {"svhn": "svhn_cropped", "tiny_imagenet_200": "tiny_imagenet"}


@dataclasses.dataclass(frozen=True)
class PublishedRun:
    """One run's accuracy.

    Attributes:
        dataset: The data set's name in paths of results.
        model: A key of `backbones.ARCHITECTURES`.
        normalization: A key of `normalization.SETTINGS`.
        accuracy: From 0 to 1.
    """

    dataset: str
    model: str
    normalization: str
    accuracy: float

    @property
    def cell(self) -> Cell:
        """Data set, model and setting."""
        return self.dataset, self.model, self.normalization


class Rule(NamedTuple):
    """A way to choose the epoch whose accuracy counts: its name, its key in JSON."""

    title: str
    key: str


RULES = {
    "final": Rule("final epoch", "final_test_accuracy"),
    "best_test": Rule("best test epoch", "best_test_accuracy"),
    "selected": Rule("epoch selected on validation images", "selected_test_accuracy"),
}


def find(folder: pathlib.Path, name: str) -> list[pathlib.Path]:
    """Lists the files of one name in a folder and the folders inside it.

    Args:
        folder: It need not exist.
        name: `STUDY_FILE` or `OWN_FILE`; of the latter, only those that lie as
            `OWN_LAYOUT` says.

    Returns:
        Their paths, sorted. Files of more than 1 MB are left out.

    Raises:
        UsageError: If a folder or such a file can't be read.
    """
    if not os.path.isdir(folder):
        return []
    found = [
        pathlib.Path(inner, name)
        for inner, _, names in os.walk(folder, onerror=_refuse)
        if name in names
    ]
    return sorted(
        path
        for path in found
        if _is_small_file(path) and (name != OWN_FILE or _own_match(folder, path))
    )


def _refuse(error: OSError) -> NoReturn:
    raise errors.UsageError(
        f"can't read {error.filename}: {errors.one_line(error)}; mend or remove it"
    ) from error


def _is_small_file(path: pathlib.Path) -> bool:
    try:
        status = path.stat()
    except OSError as error:
        _refuse(error)
    return stat.S_ISREG(status.st_mode) and status.st_size <= MAX_BYTES


def _own_match(folder: pathlib.Path, path: pathlib.Path) -> re.Match | None:
    return OWN_PATTERN.fullmatch(path.relative_to(folder).as_posix())


def read_study(folder: pathlib.Path, paths: list[pathlib.Path]) -> list[PublishedRun]:
    """Reads what the PyTorch study's code leaves of its runs.

    Args:
        folder: The folder of all runs; its own name says nothing of them.
        paths: From `find(folder, STUDY_FILE)`.

    Returns:
        The runs, sorted by cell. Several folders may name the same cell.

    Raises:
        UsageError: If a path doesn't name its cell, or a file holds no accuracy.
    """
    result = [
        PublishedRun(
            *_cell(folder, path),
            _accuracy(path, "best_acc", f"expected {STUDY_EXAMPLE}"),
        )
        for path in paths
    ]
    return sorted(result, key=lambda run: run.cell)


def _cell(folder: pathlib.Path, path: pathlib.Path) -> Cell:
    """Returns data set, model and setting from the folders of a file."""
    text = path.parent.relative_to(folder).as_posix()
    return (
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
        f"{path}: its folders should name one {kind}, and the path {text!r} {what}. "
        f"Allowed: {', '.join(names)}, between any of / - _ and spaces"
    )


def names_in(text: str, names: list[str]) -> set[str]:
    """Finds names in a path: whole words, in any case.

    Args:
        text: Words separated by `/`, `-`, `_` or spaces.
        names: What to look for. Inside them, a separator may also be absent or
            another one, and one may stand before a number: `CIFAR-10` is cifar10.

    Returns:
        The names that occur. Of names inside one another the longest counts, so
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


def read_own(
    folder: pathlib.Path, paths: list[pathlib.Path], rule: str
) -> list[PublishedRun]:
    """Reads the results of this package's finished runs.

    Args:
        folder: The folder of all results.
        paths: From `find(folder, OWN_FILE)`.
        rule: A key of `RULES`.

    Returns:
        The runs, sorted by cell and then by seed.

    Raises:
        UsageError: If a path names no run, or a file lacks the rule's accuracy.
    """
    key = RULES[rule].key
    hint = f"expected a {key!r} from 0 to 1"
    if rule == "selected":
        hint += "; runs with --validation_examples have one"
    result = []
    for path in paths:
        dataset, model, setting, seed = _own_match(folder, path).groups()
        _check_own_cell(path, dataset, model, setting)
        accuracy = _accuracy(path, key, hint)
        result.append((int(seed), PublishedRun(dataset, model, setting, accuracy)))
    return [run for _, run in sorted(result, key=lambda pair: (pair[1].cell, pair[0]))]


def _check_own_cell(path: pathlib.Path, dataset: str, model: str, setting: str) -> None:
    if not dataset.startswith("folder-") and dataset not in datasets.DATASETS:
        allowed = [*datasets.DATASETS, "folder-NAME"]
        raise errors.unknown_name(f"data set in {path}:", dataset, allowed)
    if model not in ARCHITECTURES:
        raise errors.unknown_name(f"model in {path}:", model, list(ARCHITECTURES))
    if setting not in normalization.SETTINGS:
        allowed = list(normalization.SETTINGS)
        raise errors.unknown_name(f"setting in {path}:", setting, allowed)


def _accuracy(path: pathlib.Path, key: str, hint: str) -> float:
    """Returns one number of a JSON file, checked."""
    try:
        values = runs.read_json(path)
    except errors.UsageError as error:
        raise errors.UsageError(f"{error}; {hint}") from error
    if key not in values:
        raise errors.UsageError(f"{path} lacks {key!r}; {hint}")
    accuracy = values[key]
    is_number = isinstance(accuracy, int | float) and not isinstance(accuracy, bool)
    if not is_number or not 0 <= accuracy <= 1:
        raise errors.UsageError(f"{path}: {key!r} is {str(accuracy)[:80]!r}; {hint}")
    return float(accuracy)
