"""Folders of images: SPLIT/CLASS/ or CLASS/ alone."""

from __future__ import annotations

import collections
import os
import pathlib
import re
from collections.abc import Iterator

from normtest_tf import errors
from normtest_tf.datasets import images, loading, splits
from normtest_tf.datasets.loading import ReadingOptions, Source
from normtest_tf.text import Notify, shown

_LIKE_SPLITS = {splits.TRAIN, "training", "testing", "dev", "eval", *splits.TESTS}
# Such as `test_set`, `seg_train` and `val2017`; where there are several.
_LIKE_SPLIT = re.compile(
    r"(.*[\W_])?(?P<kind>train|test|val|dev|eval)(ing|id|idation)?"
    r"([\W_]?(set|data|images|\d+))?",
    re.IGNORECASE,
)
_LAYOUT = (
    "it must contain train/CLASS/ and test/CLASS/, or CLASS/ alone, with images in them"
)
_SYSTEM = "hidden or of the system"
_OUTSIDE = "outside the class folders"


def find(
    folder: pathlib.Path, name: str, options: ReadingOptions, notify: Notify
) -> Source:
    """Finds images: classes ordered by name, images by `splits.mixed_order`."""
    found = find_splits(folder, options)
    left_out: collections.Counter[str] = collections.Counter()
    of_splits = [_classes(folder, split, left_out) for split in found or ("",)]
    classes = list(of_splits[0])
    if differing := set(classes).symmetric_difference(of_splits[-1]):
        pairs = loading.alike(sorted(differing))
        raise errors.UsageError(
            f"folder {shown(str(folder))} has classes in one of {shown(str(found))} "
            f"only: {shown(', '.join(sorted(differing)))}. Every class needs images in "
            f"both{pairs and f'; {pairs}'}"
        )
    labels = [
        {path: label for label, one in enumerate(classes) for path in of_split[one]}
        for of_split in of_splits
    ]
    examples = loading.of_files(folder, labels, options)
    for other in (splits.TRAIN, *splits.TESTS):
        if found and other not in found and os.path.isdir(folder / other):
            left_out[f"of another split ({other})"] += 1
    return _noted(Source(name, classes, examples, str(folder)), left_out, notify)


def find_without_classes(
    folder: pathlib.Path, name: str, options: ReadingOptions, notify: Notify
) -> Source:
    """Finds the images to train on, whatever folders they are in."""
    found = find_splits(folder, options)
    left_out: collections.Counter[str] = collections.Counter()
    root = folder / found[0] if found else folder
    names = [path.relative_to(folder).as_posix() for path in _images(root, left_out)]
    if found and (of_classes := [name for name in names if name.count("/") > 1]):
        if beside := len(names) - len(of_classes):
            left_out[_OUTSIDE] += beside
        names = of_classes
    if not names:
        raise errors.UsageError(f"{shown(str(root))} contains no images")
    examples = loading.of_files(folder, [dict.fromkeys(names, 0)], options)
    return _noted(Source(name, [""], examples, str(root)), left_out, notify)


def _noted(
    source: Source, left_out: collections.Counter[str], notify: Notify
) -> Source:
    """Says what a source leaves out."""
    if left_out:
        counts = ", ".join(f"{n} {shown(what)}" for what, n in left_out.most_common(9))
        number = " and ".join(f"{len(one.labels)}" for one in source.of_splits)
        notify(f"{shown(source.name)}: read {number} images; left out {counts}")
    return source


def find_splits(
    folder: pathlib.Path, options: ReadingOptions
) -> tuple[str, str] | None:
    """Returns the folders to train and to test on; None if there are only classes."""
    there = [name for name in _names(folder) if os.path.isdir(folder / name)]
    is_named = bool(options.train_split or options.test_split)
    if is_named or {splits.TRAIN, *splits.TESTS} & set(there):
        return splits.choose(
            options.train_split, options.test_split, there, f"folder {folder}"
        )
    alike = {name: _LIKE_SPLIT.fullmatch(name) for name in there}
    kinds = {name: match["kind"].lower() for name, match in alike.items() if match}
    is_named_so = _LIKE_SPLITS & {name.lower() for name in kinds}
    if is_named_so or len(set(kinds.values())) > 1:
        raise errors.UsageError(
            f"folder {shown(str(folder))} has {shown(' and '.join(kinds))}, which look "
            "like splits, not classes. Name them with --train_split and --test_split, "
            "or rename them"
        )
    return None


def _names(folder: pathlib.Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise errors.unreadable(folder, error, _LAYOUT) from error


def _classes(
    root: pathlib.Path, split: str, left_out: collections.Counter[str]
) -> dict[str, list[str]]:
    """Returns the images of each class of a split, as paths relative to the root."""
    classes: dict[str, list[str]] = {}
    for name in _names(root / split):
        path = root / split / name
        if images.is_system(name):
            left_out[_SYSTEM] += 1
        elif not os.path.isdir(path):
            left_out[_OUTSIDE] += 1
        elif found := list(_images(path, left_out)):
            classes[name] = [one.relative_to(root).as_posix() for one in found]
        else:
            raise errors.UsageError(
                f"class folder {shown(str(path))} contains no images. Add some or "
                "remove it"
            )
    if not classes:
        raise errors.UsageError(
            f"{shown(str(root / split))} has no class folders; {_LAYOUT}"
        )
    return classes


def _images(
    folder: pathlib.Path, left_out: collections.Counter[str]
) -> Iterator[pathlib.Path]:
    """Yields the images of a class, those in nested folders included."""
    for name in _names(folder):
        path = folder / name
        if images.is_system(name):
            left_out[_SYSTEM] += 1
        elif os.path.isdir(path):
            if os.path.islink(path):  # It may lead back.
                left_out["links to folders"] += 1
            else:
                yield from _images(path, left_out)
        elif images.is_image(path):
            yield path
        else:
            suffix = path.suffix.lower() or "no suffix"
            left_out[f"without an image ({suffix})"] += 1
