"""Folders of images: train/CLASS/*.png and test/CLASS/*.png, through TFDS."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from normtest_tf import errors
from normtest_tf.datasets import decoding, image_dataset

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

# Those that `tfds.ImageFolder` looks for.
SUFFIXES = (".jpg", ".jpeg", ".png")
_LAYOUT = "It must hold train/CLASS/*.png and test/CLASS/*.png (or .jpg, .jpeg)"


def load(
    folder: pathlib.Path, name: str, image_size: int | None
) -> image_dataset.ImageDataset:
    """Reads a folder of images into memory.

    Classes are ordered by name; images by `image_dataset.mixed_order` of their
    paths below the folder. `val` stands in for `test` where there is no `test`.
    Other folders beside them are ignored.

    Args:
        folder: What holds `train` and `test`.
        name: What to call the data set.
        image_size: Height and width to resize every image to, bilinearly; None
            if they all are squares of one size.

    Returns:
        The data set.

    Raises:
        UsageError: If the folders aren't laid out so, or an image can't be used.
    """
    test_split = _find_test_split(folder)
    classes = _check_tree(folder, test_split)
    import tensorflow_datasets as tfds

    try:
        builder = tfds.ImageFolder(str(folder))
    except (OSError, ValueError) as error:
        raise errors.UsageError(
            f"TFDS can't read folder {folder}: {errors.one_line(error)}. {_LAYOUT}"
        ) from error
    sizes = _SizeCheck(image_size)
    train_images, train_labels = _read(builder, "train", classes, folder, sizes)
    test_images, test_labels = _read(builder, test_split, classes, folder, sizes)
    return image_dataset.ImageDataset(
        name=name,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        class_names=tuple(classes),
    )


class _SizeCheck:
    """Decodes images and raises at the first that differs from the first of all."""

    def __init__(self, image_size: int | None) -> None:
        self._image_size = image_size
        self._first: tuple[str, np.ndarray] | None = None

    def decode(self, example: tuple[bytes, str]) -> np.ndarray:
        return decoding.decode(*example, self._image_size)

    def check(self, image: np.ndarray, name: str) -> None:
        height, width, _ = image.shape
        first_name, first = self._first = self._first or (name, image)
        if image.shape != first.shape:
            what = (
                f"{first_name} is {first.shape[1]}x{first.shape[0]} and {name} is "
                f"{width}x{height}"
            )
        elif height != width:
            what = f"{name} is {width}x{height}, not square"
        else:
            return
        raise errors.UsageError(
            f"images must be squares of one size, but {what}. "
            "Pass --image_size to resize them all"
        )


def _find_test_split(folder: pathlib.Path) -> str:
    """Returns `test` or `val`, after checking that the folders are there."""
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise errors.UsageError(f"folder {folder} {what}. {_LAYOUT}")
    if not (folder / "train").is_dir():
        raise errors.UsageError(f"folder {folder} has no train folder. {_LAYOUT}")
    for split in ("test", "val"):
        if (folder / split).is_dir():
            return split
    raise errors.UsageError(
        f"folder {folder} has neither a test nor a val folder. {_LAYOUT}"
    )


def _check_tree(folder: pathlib.Path, test_split: str) -> list[str]:
    """Checks both splits' class folders without opening an image.

    Args:
        folder: What holds the splits.
        test_split: The name of the second split.

    Returns:
        The sorted names of the classes, at least two, the same in both splits.

    Raises:
        UsageError: If they differ, or a class has no images.
    """
    train = _class_folders(folder / "train")
    test = _class_folders(folder / test_split)
    if train != test:
        only_train = ", ".join(sorted(set(train) - set(test))) or "none"
        only_test = ", ".join(sorted(set(test) - set(train))) or "none"
        raise errors.UsageError(
            f"folder {folder} has other classes in train than in {test_split}. Only in "
            f"train: {only_train}; only in {test_split}: {only_test}. "
            "Every class needs images in both"
        )
    if len(train) < 2:
        raise errors.UsageError(
            f"folder {folder} has one class, {train[0]!r}. At least two are needed"
        )
    return train


def _class_folders(split: pathlib.Path) -> list[str]:
    """Returns the sorted names of a split's class folders, all with images."""
    classes = [name for name in _listing(split) if (split / name).is_dir()]
    if not classes:
        raise errors.UsageError(f"{split} has no class folders. {_LAYOUT}")
    for name in classes:
        images = [
            file for file in _listing(split / name) if file.lower().endswith(SUFFIXES)
        ]
        if not images:
            raise errors.UsageError(
                f"class folder {split / name} holds no .png, .jpg or .jpeg files. "
                "Add some or remove it"
            )
        for file in images:
            # A named pipe would be waited for without end.
            if not os.path.isfile(split / name / file):
                raise errors.UsageError(
                    f"{split / name / file} is not a file. Remove it"
                )
    return classes


def _listing(folder: pathlib.Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise errors.UsageError(
            f"{folder} can't be listed: {error.strerror}. Make it readable"
        ) from error


def _read(
    builder: tfds.ImageFolder,
    split: str,
    classes: list[str],
    folder: pathlib.Path,
    sizes: _SizeCheck,
) -> tuple[np.ndarray, np.ndarray]:
    """Reads one split.

    Args:
        builder: What found the images.
        split: The split's name.
        classes: The classes' names in the order of their labels.
        folder: The folder that file names are taken relative to.
        sizes: What decodes the images and compares their sizes.

    Returns:
        uint8 images `[n, size, size, 3]` and int32 labels `[n]`, in mixed order.

    Raises:
        UsageError: If an image can't be decoded or differs in size.
    """
    names: list[str] = []
    images = []
    for image in decoding.map_in_threads(sizes.decode, _files(builder, split, names)):
        sizes.check(image, names[len(images)])
        images.append(image)
    relative = [pathlib.Path(name).relative_to(folder) for name in names]
    # By the folder's name and not by TFDS's label, which counts the subfolders of
    # every folder beside the splits as classes.
    labels = np.array([classes.index(path.parts[1]) for path in relative], np.int32)
    order = image_dataset.mixed_order([path.as_posix() for path in relative])
    return np.stack([images[index] for index in order]), labels[order]


def _files(
    builder: tfds.ImageFolder, split: str, names: list[str]
) -> Iterator[tuple[bytes, str]]:
    """Yields each file's bytes and name, and appends the name to `names`."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    # Pillow decodes the bytes: TensorFlow reads no palettes, CMYK or mixtures of
    # channel counts, and names no file in its errors.
    files = builder.as_dataset(
        split=split, decoders={"image": tfds.decode.SkipDecoding()}
    )
    try:
        for example in files.as_numpy_iterator():
            name = example["image/filename"].decode()
            names.append(name)
            yield example["image"], name
    except tf.errors.OpError as error:
        raise errors.UsageError(
            f"a file of {split} can't be read: {error.message}. Make it readable"
        ) from error
