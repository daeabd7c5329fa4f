"""The data sets: uint8 RGB images, in memory or in a temporary file.

    catalogue      what --dataset means, and what is known about the described sets
    dataset        ImageDataset: the images, their fingerprint, subsets
    splits         orders, test and validation splits that depend on a seed alone
    shifts         known changes of all images: contrast, brightness, colour
    images         image files to arrays of one size
    loading        options; from encoded images to an ImageDataset, checked
    folders        a folder of images: `folder:PATH`
    csv_files      a table of files and labels: `csv:PATH`
    tfds           CIFAR10, CIFAR100, SVHN and `tfds:NAME`, from TensorFlow Datasets
    tiny_imagenet  Tiny ImageNet, from its archive
    digits         scikit-learn's digits, which need no download

Example:
```python
from normtest_tf import datasets

dataset = datasets.load("digits").take(train_examples=1000)
rest, validation_images, validation_labels = datasets.split_validation(
    dataset, examples=200, seed=0
)
```
"""

from __future__ import annotations

import dataclasses

import numpy as np

from normtest_tf import errors
from normtest_tf.datasets import (
    catalogue,
    csv_files,
    digits,
    folders,
    images,
    loading,
    shifts,
    tfds,
    tiny_imagenet,
)
from normtest_tf.datasets.catalogue import (
    DATASETS,
    PATTERNS,
    DatasetDescription,
    check,
    slug,
)
from normtest_tf.datasets.dataset import ImageDataset, Images, MappedImages
from normtest_tf.datasets.loading import (
    MAX_IMAGE_SIZE,
    RESIZES,
    TEST_FRACTION,
    ReadingOptions,
)
from normtest_tf.datasets.splits import split_validation
from normtest_tf.system import files
from normtest_tf.text import Notify, ignore

__all__ = [
    "DATASETS",
    "MAX_IMAGE_SIZE",
    "PATTERNS",
    "RESIZES",
    "TEST_FRACTION",
    "DatasetDescription",
    "ImageDataset",
    "Images",
    "MappedImages",
    "ReadingOptions",
    "check",
    "check_available",
    "load",
    "shifted",
    "slug",
    "split_validation",
]

DEFAULTS = ReadingOptions()


def load(
    name: str, options: ReadingOptions = DEFAULTS, notify: Notify = ignore
) -> ImageDataset:
    """Loads a data set.

    Args:
        name: A key of `DATASETS`, `folder:PATH`, `csv:PATH` or `tfds:NAME`.
        options: Where it is, which splits, and the size of its images.
        notify: Called with lines on what was left out, and why; on images in both
            splits; and on images that don't fit into memory.

    Returns:
        All images of both splits, in an order that never changes: the official one
        where it exists, otherwise one that mixes the classes.

    Raises:
        UsageError: If the name is unknown, or the data are missing and can't be
            downloaded, or a file is unusable, or an option is not allowed.
    """
    options.check()
    kind, location = catalogue.parse(name)
    if not kind:
        dataset = _load_described(DATASETS[name], options, notify)
    elif kind == catalogue.TFDS:
        dataset = tfds.load(location, slug(name), options, notify)
    else:
        of_kind = folders if kind == catalogue.FOLDER else csv_files
        path = files.expand(location)
        dataset = of_kind.load(path, slug(name), options, notify)
    return shifted(dataset, options.shift)


def shifted(dataset: ImageDataset, shift: str) -> ImageDataset:
    """Returns a data set with all of its images changed in the same way.

    Args:
        dataset: The data set.
        shift: What is done to its images; see `shifts`.

    Returns:
        The data set itself for `none`; otherwise one with copies of the images in
        memory, or with images that are shifted whenever they are read.

    Raises:
        UsageError: If there is no such shift.
    """
    change = shifts.parse(shift)
    if change.kind == shifts.NONE:
        return dataset

    def of(pixels: Images) -> Images:
        if isinstance(pixels, np.ndarray):
            return change.apply(pixels)
        return dataclasses.replace(pixels, changes=(*pixels.changes, change))

    return dataclasses.replace(
        dataset,
        train_images=of(dataset.train_images),
        test_images=of(dataset.test_images),
    )


def check_available(name: str, options: ReadingOptions = DEFAULTS) -> None:
    """Checks that a folder or table of images exists and has its splits, in no time.

    Programs call it before TensorFlow is imported, which takes seconds.

    Args:
        name: A data set's name; of other kinds only the name is checked.
        options: May name splits.

    Raises:
        UsageError: If the name is unknown, the folder, table or a split is missing, or
            an option does not apply.
    """
    kind, location = catalogue.parse(name)
    if kind == catalogue.FOLDER:
        folders.find_splits(files.expand(location), options)
    elif kind == catalogue.CSV:
        csv_files.check_header(files.expand(location))
    elif not kind:
        _check_has_own_splits(name, options)


def _load_described(
    description: DatasetDescription, options: ReadingOptions, notify: Notify
) -> ImageDataset:
    """Loads one of `DATASETS`."""
    _check_has_own_splits(description.name, options)
    if description.loader == "tiny_imagenet":
        return tiny_imagenet.load(description, options, notify)
    if description.loader == "digits":
        dataset = digits.load()
    else:
        dataset = tfds.load_described(description, options.data_dir)
    return _resized(dataset, options, notify)


def _check_has_own_splits(name: str, options: ReadingOptions) -> None:
    if options.train_split or options.test_split:
        raise errors.UsageError(
            f"--train_split and --test_split don't apply to {name}, which has its own "
            f"splits. Omit them, or write --dataset=tfds:{name}"
        )


def _resized(
    dataset: ImageDataset, options: ReadingOptions, notify: Notify
) -> ImageDataset:
    """Returns a data set at the size asked for, in memory if it fits there."""
    size = options.image_size or dataset.image_shape[0]
    if (size, size, 3) == dataset.image_shape:
        loading.note_own_splits(dataset.name, options, notify)
        return dataset

    def examples(split: str, given: Images, labels: np.ndarray) -> loading.Examples:
        pixels = np.asarray(given)  # These sets fit into memory at their own size.
        return loading.Examples(
            [f"image {index} of {split}" for index in range(len(labels))],
            labels,
            lambda index: images.resized(pixels[index], size),
        )

    return loading.assemble(
        dataset.name,
        dataset.class_names,
        examples("train", dataset.train_images, dataset.train_labels),
        examples("test", dataset.test_images, dataset.test_labels),
        options,
        notify,
        dataset.name,
    )
