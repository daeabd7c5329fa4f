"""Folders of images: SPLIT/CLASS/ or CLASS/ alone, in the formats of `decoding`."""

from __future__ import annotations

import os
import pathlib
from typing import NamedTuple

import numpy as np

from normtest_tf import errors
from normtest_tf.datasets import assembly, decoding, division, listing
from normtest_tf.datasets.image_dataset import ImageDataset
from normtest_tf.datasets.options import ReadingOptions
from normtest_tf.text import Notify, counted, ignore, shown

TEST_SPLITS = ("test", "val", "valid", "validation")  # In the order of preference.
_LIKE_SPLITS = {"train", "training", "testing", "dev", "eval", *TEST_SPLITS}
_LAYOUT = (
    "It must contain train/CLASS/ and test/CLASS/, or CLASS/ alone, with images in them"
)


class Splits(NamedTuple):
    """The names of the folders to train on and to test on."""

    train: str
    test: str


def load(
    folder: pathlib.Path, name: str, options: ReadingOptions, notify: Notify = ignore
) -> ImageDataset:
    """Reads a folder of images.

    Classes are ordered by name, images by `division.mixed_order` of their paths
    relative to the folder. The first of `TEST_SPLITS` that exists is tested on; if the
    folder has classes instead of splits, `division.choose_test` makes them.

    Args:
        folder: Contains `train` and `test`, or classes.
        name: The name for the data set.
        options: How to read it.
        notify: Called with one line on what was read and left out, if anything was,
            and with notes on the images.

    Returns:
        The data set.

    Raises:
        UsageError: If the layout is different, or images are unusable: the first ten
            are named.
    """
    left_out = listing.LeftOut()
    splits = find_splits(folder, options)
    if splits is None:
        classes = _class_images(folder, folder, left_out)
        assembly.check_number(str(folder), list(classes))
        examples = _examples(folder, classes, options)
        train, test, how = assembly.divide(examples, list(classes), options)
        summary = f"{counted(len(examples), 'image')}"
    else:
        classes = _class_images(folder, folder / splits.train, left_out)
        test_classes = _class_images(folder, folder / splits.test, left_out)
        _check_classes(folder, splits, list(classes), list(test_classes))
        _add_other_splits(folder, splits, left_out)
        train = _examples(folder, classes, options)
        test, how = _examples(folder, test_classes, options), None
        summary = (
            f"{counted(len(train), 'image')} of {shown(splits.train)} and {len(test)} "
            f"of {shown(splits.test)}"
        )
    dataset = assembly.assemble(
        name,
        list(classes),
        train,
        test,
        options,
        notify,
        place=str(folder),
        division=how,
    )
    if text := str(left_out):
        notify(f"{shown(name)}: read {summary}; left out {text}")
    return dataset


def find_splits(folder: pathlib.Path, options: ReadingOptions) -> Splits | None:
    """Finds the folders of the splits, without reading them.

    Args:
        folder: Contains splits or classes.
        options: May name splits.

    Returns:
        `train` and the first of `TEST_SPLITS` that exists, or those that the options
        name; None if the folder has neither `train` nor any of `TEST_SPLITS`.

    Raises:
        UsageError: If the folder or a split is missing.
    """
    where = shown(str(folder))
    if not listing.is_folder(folder):
        # `Path.exists` would raise.
        what = "is not a folder" if os.path.exists(folder) else "does not exist"
        raise errors.UsageError(f"folder {where} {what}. {_LAYOUT}")
    named = options.train_split, options.test_split
    if named == (None, None) and not any(
        listing.is_folder(folder / split) for split in ("train", *TEST_SPLITS)
    ):
        _check_no_other_splits(folder)
        return None
    train = options.train_split or "train"
    tests = [options.test_split] if options.test_split else TEST_SPLITS
    if not listing.is_folder(folder / train):
        raise errors.UsageError(
            f"folder {where} has no {shown(train)} folder. {_LAYOUT}"
        )
    test = next((split for split in tests if listing.is_folder(folder / split)), None)
    if test is None:
        missing = "neither a test nor a val folder (nor valid or validation)"
        if options.test_split:
            missing = f"no {shown(options.test_split)} folder"
        elif not options.train_split:
            missing += f" (folder:{where}/train is divided)"
        raise errors.UsageError(f"folder {where} has {missing}. {_LAYOUT}")
    if os.path.samefile(folder / train, folder / test):
        raise errors.UsageError(
            f"{shown(str(folder / test))} is the {shown(train)} folder: tests on "
            "training images show nothing. Give them images of their own"
        )
    return Splits(train, test)


def _check_no_other_splits(folder: pathlib.Path) -> None:
    """Raises `UsageError` if what look like classes are splits of other names."""
    left_out = listing.LeftOut()
    found = [path.name for path in listing.entries(folder, left_out)]
    if splits := [name for name in found if name.lower() in _LIKE_SPLITS]:
        raise errors.UsageError(
            f"folder {shown(str(folder))} has {shown(' and '.join(splits))}, which "
            "look like splits, not classes. Name them with --train_split and "
            "--test_split, or rename them"
        )


def _examples(
    folder: pathlib.Path,
    classes: dict[str, list[pathlib.Path]],
    options: ReadingOptions,
) -> assembly.Examples:
    """Returns the images of classes, in mixed order."""
    labels = {
        path.relative_to(folder).as_posix(): label
        for label, paths in enumerate(classes.values())
        for path in paths
    }
    names = list(labels)
    names = [names[index] for index in division.mixed_order(names)]

    def decode(index: int) -> np.ndarray:
        path = folder / names[index]
        return decoding.decode_file(path, options.image_size, options.resize)

    return assembly.Examples(
        names, np.array([labels[name] for name in names], np.int32), decode
    )


def _class_images(
    folder: pathlib.Path, split: pathlib.Path, left_out: listing.LeftOut
) -> dict[str, list[pathlib.Path]]:
    """Returns each class's images, by the sorted names of its classes."""
    classes = {}
    folders: dict[str, str] = {}  # Class names by what they link to.
    for path in listing.entries(split, left_out):
        if listing.is_broken_link(path):
            raise errors.UsageError(
                f"{shown(str(path))} is a broken link: a class may be missing. Restore "
                "what it links to, or remove it"
            )
        if not listing.is_folder(path):
            left_out.loose += 1
            continue
        first = folders.setdefault(os.path.realpath(path), path.name)
        if first != path.name:
            raise errors.UsageError(
                f"the classes {shown(first)!r} and {shown(path.name)!r} in "
                f"{shown(str(split))} are the same folder. Remove one of them"
            )
        inside = listing.LeftOut()
        images = classes[path.name] = listing.pictures(path, folder, inside)
        if not images:
            why = f" ({inside} left out)" if str(inside) else ""
            raise errors.UsageError(
                f"class folder {shown(str(path))} contains no images{why}. "
                "Add some or remove it"
            )
        left_out.add(inside)
    if not classes:
        raise errors.UsageError(f"{shown(str(split))} has no class folders. {_LAYOUT}")
    return classes


def _check_classes(
    folder: pathlib.Path, splits: Splits, train: list[str], test: list[str]
) -> None:
    """Checks that there are at least two classes, the same in both splits."""
    if train != test:
        only_train = ", ".join(sorted(set(train) - set(test))) or "none"
        only_test = ", ".join(sorted(set(test) - set(train))) or "none"
        raise errors.UsageError(
            f"folder {shown(str(folder))} has different classes in "
            f"{shown(splits.train)} and {shown(splits.test)}. Only in "
            f"{shown(splits.train)}: {shown(only_train)}; only in "
            f"{shown(splits.test)}: {shown(only_test)}. Every class needs images in "
            "both"
        )
    assembly.check_number(str(folder), train)


def _add_other_splits(
    folder: pathlib.Path, splits: Splits, left_out: listing.LeftOut
) -> None:
    """Notes the folders that could have been one of the splits."""
    others = [
        split
        for split in ("train", *TEST_SPLITS)
        if split not in splits and listing.is_folder(folder / split)
    ]
    if others:
        left_out.notes.append(
            f"the folder {' and '.join(others)}, since {shown(splits.test)} is the "
            "test set"
        )
