"""Folders of images: SPLIT/CLASS/ or CLASS/ alone."""

from __future__ import annotations

import collections
import os
import pathlib

from normtest_tf import errors
from normtest_tf.datasets import images, loading, splits
from normtest_tf.datasets.dataset import ImageDataset
from normtest_tf.datasets.loading import ReadingOptions
from normtest_tf.text import Notify, shown

_LIKE_SPLITS = {splits.TRAIN, "training", "testing", "dev", "eval", *splits.TESTS}
_LAYOUT = (
    "It must contain train/CLASS/ and test/CLASS/, or CLASS/ alone, with images in them"
)
_SYSTEM = "hidden or of the system"


def load(
    folder: pathlib.Path, name: str, options: ReadingOptions, notify: Notify
) -> ImageDataset:
    """Reads a folder of images.

    Classes are ordered by name, images by `splits.mixed_order` of their paths relative
    to the folder. One note says what was left out.
    """
    found = find_splits(folder, options)
    left_out: collections.Counter[str] = collections.Counter()
    of_splits = [
        _class_images(folder, folder / split, left_out) for split in found or ("",)
    ]
    classes = list(of_splits[0])
    if differing := set(classes).symmetric_difference(of_splits[-1]):
        raise errors.UsageError(
            f"folder {shown(str(folder))} has classes in one of {shown(str(found))} "
            f"only: {shown(', '.join(sorted(differing)))}. Every class needs images in "
            "both"
        )
    examples = [
        loading.of_files(
            folder,
            {path: classes.index(name) for name in classes for path in of_split[name]},
            options,
        )
        for of_split in of_splits
    ]
    test = examples[1] if found else None
    dataset = loading.assemble(
        name, classes, examples[0], test, options, notify, str(folder)
    )
    if found and (others := _other_splits(folder, found)):
        left_out[f"of another split ({', '.join(others)})"] = len(others)
    if left_out:
        counts = ", ".join(f"{n} {shown(what)}" for what, n in left_out.most_common(9))
        number = " and ".join(f"{len(one)}" for one in examples)
        notify(f"{shown(name)}: read {number} images; left out {counts}")
    return dataset


def find_splits(
    folder: pathlib.Path, options: ReadingOptions
) -> tuple[str, str] | None:
    """Returns the folders to train and to test on; None if there are only classes."""
    if not os.path.isdir(folder):
        what = "is not a folder" if os.path.exists(folder) else "does not exist"
        raise errors.UsageError(f"folder {shown(str(folder))} {what}. {_LAYOUT}")
    try:
        there = [entry.name for entry in os.scandir(folder) if entry.is_dir()]
    except OSError as error:
        raise errors.unreadable(folder, error) from error
    is_named = bool(options.train_split or options.test_split)
    if is_named or {splits.TRAIN, *splits.TESTS} & set(there):
        return splits.choose(
            options.train_split, options.test_split, there, f"folder {folder}"
        )
    if alike := sorted(name for name in there if name.lower() in _LIKE_SPLITS):
        raise errors.UsageError(
            f"folder {shown(str(folder))} has {shown(' and '.join(alike))}, which look "
            "like splits, not classes. Name them with --train_split and --test_split, "
            "or rename them"
        )
    return None


def _class_images(
    folder: pathlib.Path, split: pathlib.Path, left_out: collections.Counter[str]
) -> dict[str, list[str]]:
    """Returns the images of each class, sorted, as paths relative to the folder."""
    classes: dict[str, list[str]] = {}
    try:
        names = sorted(os.listdir(split))
    except OSError as error:
        raise errors.unreadable(split, error) from error
    for name in names:
        path = split / name
        if images.is_system(name):
            left_out[_SYSTEM] += 1
        elif not path.is_dir() or _contains(path, split):
            left_out["outside the class folders"] += 1
        elif not (found := _images(path, folder, left_out)):
            raise errors.UsageError(
                f"class folder {shown(str(path))} contains no images. Add some or "
                "remove it"
            )
        else:
            classes[name] = found
    if not classes:
        raise errors.UsageError(f"{shown(str(split))} has no class folders. {_LAYOUT}")
    return classes


def _images(
    folder: pathlib.Path, root: pathlib.Path, left_out: collections.Counter[str]
) -> list[str]:
    """Returns the images of a class, those in nested folders included.

    Links to folders are followed, except into the data set and to folders around it.
    """
    found: list[str] = []
    visited = {os.path.realpath(folder)}

    def leads_back(path: str) -> bool:
        target = os.path.realpath(path)
        is_link = os.path.islink(path)
        back = is_link and (_contains(path, root) or _contains(root, path))
        is_known = target in visited
        visited.add(target)
        return back or is_known

    def refuse(error: OSError) -> None:
        raise errors.unreadable(pathlib.Path(error.filename), error) from error

    for parent, subfolders, names in os.walk(folder, onerror=refuse, followlinks=True):
        for name in list(subfolders):
            if images.is_system(name):
                what = _SYSTEM
            elif leads_back(os.path.join(parent, name)):
                what = "links that lead back"
            else:
                continue
            left_out[what] += 1
            subfolders.remove(name)
        for name in names:
            path = pathlib.Path(parent, name)
            if images.is_system(name):
                left_out[_SYSTEM] += 1
            elif images.is_image(path):
                found.append(path.relative_to(root).as_posix())
            else:
                left_out[
                    f"without an image ({path.suffix.lower() or 'no suffix'})"
                ] += 1
    return found


def _contains(folder: str | pathlib.Path, path: str | pathlib.Path) -> bool:
    """Tells whether a folder is another one, or around it."""
    real = os.path.realpath(folder)
    return os.path.commonpath([real, os.path.realpath(path)]) == real


def _other_splits(folder: pathlib.Path, found: tuple[str, str]) -> list[str]:
    """Returns the folders that could have been one of the splits."""
    names = (splits.TRAIN, *splits.TESTS)
    return [one for one in names if one not in found and (folder / one).is_dir()]
