"""The data sets, read into memory as uint8 RGB images.

    descriptions    every data set's classes, sizes and source, without reading it
    constants       published channel statistics of further sets of TFDS
    image_dataset   ImageDataset: the arrays, their fingerprint, subsets
    tfds_sets       CIFAR10, CIFAR100 and SVHN, through TensorFlow Datasets
    tiny_imagenet   Tiny ImageNet, from its archive
    digits          scikit-learn's digits, which need no download
    folders         any folder of images: `folder:PATH`
    listing         which of its files are images, and what is left out
    picture_kinds   what a file is by its content: PNG, HEIC, a web page
    decoding        image files to arrays

Importing this package is light; the code that reads a data set is imported when the
data set is loaded.

Example:
```python
from normtest_tf import datasets

dataset = datasets.load("digits").take(train_examples=1000)
rest, validation_images, validation_labels = datasets.split_validation(
    dataset, examples=200, seed=0
)
```
"""

import os
import pathlib
import re

from normtest_tf import errors
from normtest_tf.datasets.constants import PUBLISHED, published_statistics
from normtest_tf.datasets.descriptions import DATASETS, DatasetDescription
from normtest_tf.datasets.image_dataset import ImageDataset, split_validation
from normtest_tf.system import files
from normtest_tf.text import Notify, ignore

__all__ = [
    "DATASETS",
    "FOLDER_PREFIX",
    "MAX_IMAGE_SIZE",
    "PUBLISHED",
    "DatasetDescription",
    "ImageDataset",
    "check_available",
    "check_name",
    "load",
    "published_statistics",
    "slug",
    "split_validation",
]

FOLDER_PREFIX = "folder:"
MAX_IMAGE_SIZE = 1024


def load(
    name: str,
    data_dir: str | None = None,
    image_size: int | None = None,
    notify: Notify = ignore,
) -> ImageDataset:
    """Loads a data set.

    Args:
        name: A key of `DATASETS`, or `folder:PATH` for a folder that contains
            train/CLASS/ and test/CLASS/ (or val/, valid/, validation/).
        data_dir: The folder where TFDS keeps prepared data, or where the Tiny
            ImageNet archive was unpacked; None for TFDS's default. `digits` and
            image folders ignore it.
        image_size: Height and width in pixels to which a folder's images are
            resized; None to keep their own size. Other data sets have a fixed size.
        notify: Called with a line on what was left out of a folder, and why.

    Returns:
        All images of both splits, in an order that never changes: the official one
        where it exists, otherwise one that mixes the classes.

    Raises:
        UsageError: If the name is unknown, or the data are missing and can't be
            downloaded, or a file is unusable.
    """
    check_name(name)
    _check_image_size(name, image_size)
    if name.startswith(FOLDER_PREFIX):
        from normtest_tf.datasets import folders

        return folders.load(_folder(name), slug(name), image_size, notify)
    return _load_described(DATASETS[name], data_dir)


def _load_described(
    description: DatasetDescription, data_dir: str | None
) -> ImageDataset:
    """Loads one of `DATASETS`."""
    if description.loader == "digits":
        from normtest_tf.datasets import digits

        return digits.load()
    if description.loader == "tiny_imagenet":
        from normtest_tf.datasets import tiny_imagenet

        return tiny_imagenet.load(description, data_dir)
    from normtest_tf.datasets import tfds_sets

    return tfds_sets.load(description, data_dir)


def slug(name: str) -> str:
    """Returns a data set's name as it appears in result paths.

    Args:
        name: A key of `DATASETS`, which is returned unchanged, or `folder:PATH`,
            which becomes `folder-` and the last component of the path.

    Returns:
        A name without path separators or white space.

    Raises:
        UsageError: If the name is unknown.

    Example:
    ```python
    assert datasets.slug("folder:/data/my flowers") == "folder-my_flowers"
    ```
    """
    check_name(name)
    if not name.startswith(FOLDER_PREFIX):
        return name
    # `Path.resolve` would raise for a link that leads to itself.
    last = os.path.basename(os.path.realpath(_folder(name))) or "root"
    return "folder-" + re.sub(r"[^\w.-]+", "_", last)


def check_name(name: str) -> None:
    """Checks a data set's name without reading any file.

    Args:
        name: What the user wrote.

    Raises:
        UsageError: If it is neither a key of `DATASETS` nor `folder:PATH`.
    """
    if name.startswith(FOLDER_PREFIX):
        if not name.removeprefix(FOLDER_PREFIX).strip():
            raise errors.UsageError(
                "data set 'folder:' has no path. Write folder:PATH, where PATH "
                "contains train/CLASS/ and test/CLASS/"
            )
    elif name not in DATASETS:
        raise errors.unknown_name("data set", name, [*DATASETS, f"{FOLDER_PREFIX}PATH"])


def check_available(name: str) -> None:
    """Checks that a folder of images exists and has its splits; takes no time.

    Programs call it before TensorFlow is imported, which takes seconds.

    Args:
        name: A data set's name; of the keys of `DATASETS` only the name is checked.

    Raises:
        UsageError: If the name is unknown, or the folder or a split is missing.
    """
    check_name(name)
    if name.startswith(FOLDER_PREFIX):
        from normtest_tf.datasets import folders

        folders.find_test_split(_folder(name))


def _folder(name: str) -> pathlib.Path:
    return files.expand(name.removeprefix(FOLDER_PREFIX))


def _check_image_size(name: str, image_size: int | None) -> None:
    if image_size is None:
        return
    if name in DATASETS and image_size != DATASETS[name].image_size:
        raise errors.UsageError(
            f"--image_size applies to folder:PATH only; the images of {name} have "
            f"{DATASETS[name].image_size} pixels a side. Received: {image_size}. "
            "Omit --image_size"
        )
    if not 1 <= image_size <= MAX_IMAGE_SIZE:
        raise errors.UsageError(
            f"--image_size must be from 1 to {MAX_IMAGE_SIZE}. Received: {image_size}"
        )
