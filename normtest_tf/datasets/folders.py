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

# The ones that `tfds.ImageFolder` looks for.
SUFFIXES = (".jpg", ".jpeg", ".png")
_LAYOUT = "It must contain train/CLASS/*.png and test/CLASS/*.png (or .jpg, .jpeg)"


def load(
    folder: pathlib.Path, name: str, image_size: int | None
) -> image_dataset.ImageDataset:
    """Reads a folder of images into memory.

    Classes are ordered by name, images by `image_dataset.mixed_order` of their paths
    relative to the folder. `val` is used if there is no `test`; other folders next to
    them are ignored.

    Args:
        folder: Contains `train` and `test`.
        name: The name for the data set.
        image_size: Height and width in pixels to resize every image to, bilinearly;
            None if all images are squares of the same size.

    Returns:
        The data set.

    Raises:
        UsageError: If the layout is different, or an image is unusable.
    """
    test_split = _find_test_split(folder)
    classes = _check_tree(folder, test_split)
    builder = _builder(folder)
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
    """Decodes images and refuses any whose size differs from the first one's."""

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
            f"images must be squares of the same size, but {what}. "
            "Pass --image_size to resize them all"
        )


def _find_test_split(folder: pathlib.Path) -> str:
    """Returns `test` or `val`, whichever exists next to `train`."""
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
    """Checks the class folders of both splits without opening any image.

    Args:
        folder: Contains the splits.
        test_split: The name of the second split.

    Returns:
        The sorted class names: at least two, the same in both splits.

    Raises:
        UsageError: If the splits' classes differ, or a class has no images.
    """
    train = _class_folders(folder / "train")
    test = _class_folders(folder / test_split)
    if train != test:
        only_train = ", ".join(sorted(set(train) - set(test))) or "none"
        only_test = ", ".join(sorted(set(test) - set(train))) or "none"
        raise errors.UsageError(
            f"folder {folder} has different classes in train and {test_split}. Only in "
            f"train: {only_train}; only in {test_split}: {only_test}. "
            "Every class needs images in both"
        )
    if len(train) < 2:
        raise errors.UsageError(
            f"folder {folder} has only one class, {train[0]!r}. At least two are needed"
        )
    return train


def _class_folders(split: pathlib.Path) -> list[str]:
    """Returns the sorted class names of a split; every class must have images."""
    classes = [name for name in _listing(split) if (split / name).is_dir()]
    if not classes:
        raise errors.UsageError(f"{split} has no class folders. {_LAYOUT}")
    for name in classes:
        images = [
            file for file in _listing(split / name) if file.lower().endswith(SUFFIXES)
        ]
        if not images:
            raise errors.UsageError(
                f"class folder {split / name} contains no .png, .jpg or .jpeg files. "
                "Add some or remove it"
            )
        for file in images:
            # Opening a named pipe would block for ever.
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


def _builder(folder: pathlib.Path) -> tfds.ImageFolder:
    import tensorflow_datasets as tfds

    try:
        return tfds.ImageFolder(str(folder))
    except (OSError, ValueError) as error:
        raise errors.UsageError(
            f"TFDS can't read folder {folder}: {errors.one_line(error)}. {_LAYOUT}"
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
        builder: Lists the images.
        split: The split's name.
        classes: The class names in the order of their labels.
        folder: The folder that contains the splits.
        sizes: Decodes the images and compares their sizes.

    Returns:
        uint8 images `[n, size, size, 3]` and int32 labels `[n]`, in mixed order.

    Raises:
        UsageError: If an image can't be decoded or has another size.
    """
    names: list[str] = []
    images: list[np.ndarray] = []
    for image in decoding.map_in_threads(sizes.decode, _files(builder, split, names)):
        sizes.check(image, names[len(images)])
        images.append(image)
    relative = [pathlib.Path(name).relative_to(folder) for name in names]
    # TFDS's own labels can't be used: it also counts subfolders of other top-level
    # folders as classes.
    labels = np.array([classes.index(path.parts[1]) for path in relative], np.int32)
    order = image_dataset.mixed_order([path.as_posix() for path in relative])
    return np.stack([images[index] for index in order]), labels[order]


def _files(
    builder: tfds.ImageFolder, split: str, names: list[str]
) -> Iterator[tuple[bytes, str]]:
    """Yields each file's bytes and name, and records the name in `names`."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    # Pillow decodes the bytes: TensorFlow can't read palettes, CMYK or mixed channel
    # counts, and its errors don't name the file.
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
