"""The folders that the PyTorch study's code writes.

The names of the folders around a file say which run it belongs to. Symbolic
links to folders are not followed, to avoid cycles.
"""

from __future__ import annotations

import os
import pathlib
import re
import stat
from typing import NoReturn

from normtest_tf import datasets, errors, normalization
from normtest_tf.backbones import ARCHITECTURES
from normtest_tf.published.tables import Condition, PublishedRun
from normtest_tf.system import files
from normtest_tf.system.json_values import is_accuracy, not_an_accuracy

FILE = "best_results.json"
EXAMPLE = '{"best_epoch": 41, "best_acc": 0.8847}, best_acc from 0 to 1'
MAX_BYTES = 1_000_000  # A larger file is something else with the same name.

_SEPARATORS = "-_ "
_MORE_DATASETS = {"svhn": "svhn_cropped", "tiny_imagenet_200": "tiny_imagenet"}


def find(folder: pathlib.Path) -> list[pathlib.Path]:
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


def read(folder: pathlib.Path, paths: list[pathlib.Path]) -> list[PublishedRun]:
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
    if is_accuracy(accuracy):
        return float(accuracy)
    what = not_an_accuracy(accuracy)
    raise errors.UsageError(f"{path}: 'best_acc' is {what}; {hint}")
