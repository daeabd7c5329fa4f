"""The data sets, read into memory as uint8 RGB images.

Importing this package is light; a data set's readers come in when it is loaded.

Example:
```python
dataset = datasets.load("digits").take(train_examples=1000)
rest, validation_images, validation_labels = datasets.split_validation(
    dataset, examples=200, seed=0
)
```
"""

import pathlib
import re

from normtest_tf import errors
from normtest_tf.datasets.descriptions import DATASETS, DatasetDescription
from normtest_tf.datasets.image_dataset import ImageDataset, split_validation
from normtest_tf.system import files

__all__ = [
    "DATASETS",
    "FOLDER_PREFIX",
    "DatasetDescription",
    "ImageDataset",
    "load",
    "slug",
    "split_validation",
]

FOLDER_PREFIX = "folder:"
MAX_IMAGE_SIZE = 1024


def load(
    name: str, data_dir: str | None = None, image_size: int | None = None
) -> ImageDataset:
    """Loads a data set.

    Args:
        name: A key of `DATASETS`, or `folder:PATH` for a folder of images with
            train/CLASS/ and test/CLASS/ (or val/CLASS/) in it.
        data_dir: Where TFDS keeps prepared data or where the Tiny ImageNet
            archive was unpacked; None for TFDS's own default. `digits` and
            folders don't use it.
        image_size: Height and width that the images of a folder are resized to;
            None to take them as they are. Other data sets have a fixed size.

    Returns:
        All images of both splits. The first N are always the same: in the
        official order where there is one, else in one that mixes the classes.

    Raises:
        UsageError: If there is no such data set, it is neither there nor can be
            downloaded, or its files can't be used.
    """
    check_name(name)
    _check_image_size(name, image_size)
    if name.startswith(FOLDER_PREFIX):
        from normtest_tf.datasets import folders

        return folders.load(_folder(name), slug(name), image_size)
    description = DATASETS[name]
    if description.loader == "digits":
        from normtest_tf.datasets import digits

        return digits.load()
    if description.loader == "tiny_imagenet":
        from normtest_tf.datasets import tiny_imagenet

        return tiny_imagenet.load(description, data_dir)
    from normtest_tf.datasets import tfds_sets

    return tfds_sets.load(description, data_dir)


def slug(name: str) -> str:
    """Returns a data set's name as it appears in the paths of results.

    Args:
        name: A key of `DATASETS`, returned as it is, or `folder:PATH`, which
            gives `folder-` and the path's last part.

    Returns:
        A name without separators or white space.

    Raises:
        UsageError: If there is no such data set.
    """
    check_name(name)
    if not name.startswith(FOLDER_PREFIX):
        return name
    last = _folder(name).resolve().name or "root"
    return "folder-" + re.sub(r"[^\w.-]+", "_", last)


def check_name(name: str) -> None:
    """Raises `UsageError` if `name` is no data set's; looks at no file."""
    if name.startswith(FOLDER_PREFIX):
        if not name.removeprefix(FOLDER_PREFIX).strip():
            raise errors.UsageError(
                "data set 'folder:' lacks its path. Write folder:PATH, where PATH "
                "holds train/CLASS/ and test/CLASS/"
            )
    elif name not in DATASETS:
        raise errors.unknown_name("data set", name, [*DATASETS, f"{FOLDER_PREFIX}PATH"])


def _folder(name: str) -> pathlib.Path:
    return files.expand(name.removeprefix(FOLDER_PREFIX))


def _check_image_size(name: str, image_size: int | None) -> None:
    if image_size is None:
        return
    if name in DATASETS and image_size != DATASETS[name].image_size:
        raise errors.UsageError(
            f"image_size is for folder:PATH; {name} has images of "
            f"{DATASETS[name].image_size}. Received: {image_size}. Leave it out"
        )
    if not 1 <= image_size <= MAX_IMAGE_SIZE:
        raise errors.UsageError(
            f"image_size must be from 1 to {MAX_IMAGE_SIZE}. Received: {image_size}"
        )
