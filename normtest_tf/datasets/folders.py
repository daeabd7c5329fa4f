"""Folders of images: train/CLASS/ and test/CLASS/, in the formats of `decoding`."""

from __future__ import annotations

import os
import pathlib

import numpy as np

from normtest_tf import errors
from normtest_tf.datasets import decoding, image_dataset, listing
from normtest_tf.text import Notify, counted, ignore, shown

TEST_SPLITS = ("test", "val", "valid", "validation")  # In the order of preference.
MAX_NAMED = 10
_LAYOUT = "It must contain train/CLASS/ and test/CLASS/, with images in them"


def load(
    folder: pathlib.Path, name: str, image_size: int | None, notify: Notify = ignore
) -> image_dataset.ImageDataset:
    """Reads a folder of images into memory.

    Classes are ordered by name, images by `image_dataset.mixed_order` of their paths
    relative to the folder. The first of `TEST_SPLITS` that exists is used.

    Args:
        folder: Contains `train` and `test`.
        name: The name for the data set.
        image_size: Height and width in pixels to resize every image to, bilinearly;
            None if all images are squares of the same size.
        notify: Called with one line on what was read and left out, if anything was.

    Returns:
        The data set.

    Raises:
        UsageError: If the layout is different, or images are unusable: the first
            `MAX_NAMED` are named.
    """
    left_out = listing.LeftOut()
    test_split = find_test_split(folder)
    train = _class_images(folder, folder / "train", left_out)
    test = _class_images(folder, folder / test_split, left_out)
    _check_classes(folder, test_split, list(train), list(test))
    _add_other_splits(folder, test_split, left_out)
    reader = _Reader(folder, image_size)
    train_images, train_labels = reader.read(train)
    test_images, test_labels = reader.read(test)
    reader.check()
    if text := str(left_out):
        notify(
            f"{shown(name)}: read {counted(len(train_labels), 'image')} of "
            f"train and {len(test_labels)} of {test_split}; left out {text}"
        )
    return image_dataset.ImageDataset(
        name, train_images, train_labels, test_images, test_labels, tuple(train)
    )


def find_test_split(folder: pathlib.Path) -> str:
    """Checks that a folder has both splits, without reading them.

    Args:
        folder: Contains `train` and one of `TEST_SPLITS`.

    Returns:
        The first of `TEST_SPLITS` that exists.

    Raises:
        UsageError: If the folder or a split is missing.
    """
    where = shown(str(folder))
    if not listing.is_folder(folder):
        # `Path.exists` would raise.
        what = "is not a folder" if os.path.exists(folder) else "does not exist"
        raise errors.UsageError(f"folder {where} {what}. {_LAYOUT}")
    if not listing.is_folder(folder / "train"):
        raise errors.UsageError(f"folder {where} has no train folder. {_LAYOUT}")
    for split in TEST_SPLITS:
        if listing.is_folder(folder / split):
            if os.path.samefile(folder / "train", folder / split):
                raise errors.UsageError(
                    f"{shown(str(folder / split))} is the train folder: tests on "
                    "training images show nothing. Give them images of their own"
                )
            return split
    raise errors.UsageError(
        f"folder {where} has neither a test nor a val folder (nor valid or "
        f"validation). {_LAYOUT}"
    )


class _Reader:
    """Reads splits, and collects the images that can't be used."""

    def __init__(self, folder: pathlib.Path, image_size: int | None) -> None:
        self._folder = folder
        self._image_size = image_size
        self._first: tuple[str, np.ndarray] | None = None
        self._bad: dict[str, decoding.BadImage] = {}
        self._count = 0

    def read(
        self, classes: dict[str, list[pathlib.Path]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Reads one split.

        Args:
            classes: Each class's images, in the order of the labels.

        Returns:
            uint8 images `[n, size, size, 3]` and int32 labels `[n]`, in mixed order.
            They are incomplete if there are bad images; see `check`.

        Raises:
            UsageError: If an image has another size than the first one.
        """
        labels = {
            path.relative_to(self._folder).as_posix(): label
            for label, paths in enumerate(classes.values())
            for path in paths
        }
        names = list(labels)
        names = [names[index] for index in image_dataset.mixed_order(names)]
        images: list[np.ndarray] = []
        for name, image in zip(
            names, decoding.map_in_threads(self._decode, names), strict=True
        ):
            if isinstance(image, decoding.BadImage):
                self._bad[name] = image
                images.clear()  # Nothing but the error is needed any more.
            else:
                self._check_size(image, name)
                if not self._bad:
                    images.append(image)
        self._count += len(names)
        stacked = np.stack(images) if images else np.empty([0, 1, 1, 3], np.uint8)
        return stacked, np.array([labels[name] for name in names], np.int32)

    def check(self) -> None:
        """Raises one `UsageError` about all bad images, if there are any."""
        if not self._bad:
            return
        names = sorted(self._bad)
        if len(names) == 1:
            raise self._bad[names[0]]
        first = names[:MAX_NAMED]
        reasons = [f"{shown(name)} {self._bad[name].problem}" for name in first]
        if len(names) > MAX_NAMED:
            reasons.append(f"and {len(names) - MAX_NAMED} more")
        raise errors.UsageError(
            f"{len(names)} of {self._count} images in "
            f"{shown(str(self._folder))} can't be used: {'; '.join(reasons)}. "
            "Repair or remove them"
        )

    def _decode(self, name: str) -> np.ndarray | decoding.BadImage:
        try:
            return decoding.decode_file(self._folder / name, self._image_size)
        except decoding.BadImage as error:
            return error

    def _check_size(self, image: np.ndarray, name: str) -> None:
        """Refuses an image whose size differs from the first one's."""
        height, width, _ = image.shape
        first_name, first = self._first = self._first or (name, image)
        if image.shape != first.shape:
            what = (
                f"{shown(first_name)} is {first.shape[1]}x{first.shape[0]} "
                f"and {shown(name)} is {width}x{height}"
            )
        elif height != width:
            what = f"{shown(name)} is {width}x{height}, not square"
        else:
            return
        raise errors.UsageError(
            f"images must be squares of the same size, but {what}. "
            "Pass --image_size to resize them all"
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
    folder: pathlib.Path, test_split: str, train: list[str], test: list[str]
) -> None:
    """Checks that there are at least two classes, the same in both splits."""
    where = shown(str(folder))
    if train != test:
        only_train = ", ".join(sorted(set(train) - set(test))) or "none"
        only_test = ", ".join(sorted(set(test) - set(train))) or "none"
        raise errors.UsageError(
            f"folder {where} has different classes in train and {test_split}. Only in "
            f"train: {shown(only_train)}; only in {test_split}: "
            f"{shown(only_test)}. Every class needs images in both"
        )
    if len(train) < 2:
        raise errors.UsageError(
            f"folder {where} has only one class, {shown(train[0])!r}. At "
            "least two are needed"
        )


def _add_other_splits(
    folder: pathlib.Path, test_split: str, left_out: listing.LeftOut
) -> None:
    """Notes the folders that could have been the second split."""
    others = [
        split
        for split in TEST_SPLITS
        if split != test_split and listing.is_folder(folder / split)
    ]
    if others:
        left_out.notes.append(
            f"the folder {' and '.join(others)}, since {test_split} is the test set"
        )
