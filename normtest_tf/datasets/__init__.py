"""The data sets: uint8 RGB images, in memory or decoded when needed.

    names           what --dataset means: a described set, folder:, csv: or tfds:
    descriptions    every described set's classes, sizes and source
    constants       published channel statistics of further sets of TFDS
    options         how to read one: image size, splits, memory budget
    shifts          known changes of all images: contrast, brightness, colour
    image_dataset   ImageDataset: the images, their fingerprint, subsets
    sources         where images come from, one module per kind of data set
    assembly        from encoded images to an ImageDataset, checked
    streamed        images that stay in their files
    division        orders, test and validation splits that depend on a seed alone
    decoding        image files to arrays of one size
    listing         which files of a folder are images, and what is left out
    picture_kinds   what a file is by its content: PNG, HEIC, a web page

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

from __future__ import annotations

import dataclasses

import numpy as np

from normtest_tf import errors
from normtest_tf.datasets import names, shifts
from normtest_tf.datasets.constants import PUBLISHED, published_statistics
from normtest_tf.datasets.descriptions import DATASETS, DatasetDescription
from normtest_tf.datasets.division import split_validation
from normtest_tf.datasets.image_dataset import ImageDataset, Images
from normtest_tf.datasets.names import PATTERNS, check, slug
from normtest_tf.datasets.options import (
    MAX_IMAGE_SIZE,
    RESIZES,
    TEST_FRACTION,
    ReadingOptions,
)
from normtest_tf.text import Notify, ignore

__all__ = [
    "DATASETS",
    "MAX_IMAGE_SIZE",
    "PATTERNS",
    "PUBLISHED",
    "RESIZES",
    "TEST_FRACTION",
    "DatasetDescription",
    "ImageDataset",
    "Images",
    "ReadingOptions",
    "check",
    "check_available",
    "load",
    "published_statistics",
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
    return shifted(_load(name, options, notify), options.shift)


def shifted(dataset: ImageDataset, shift: str) -> ImageDataset:
    """Returns a data set with all of its images changed in the same way.

    Args:
        dataset: The data set.
        shift: What is done to its images; see `shifts`.

    Returns:
        The data set itself for `none`; otherwise one with copies of the images in
        memory, or with images that are shifted whenever they are decoded.

    Raises:
        UsageError: If there is no such shift.
    """
    change = shifts.parse(shift)
    if change.kind == shifts.NONE:
        return dataset

    def of(images: Images) -> Images:
        if isinstance(images, np.ndarray):
            return change.apply(images)
        return images.changed(change)

    return dataclasses.replace(
        dataset,
        train_images=of(dataset.train_images),
        test_images=of(dataset.test_images),
        digest=None,
    )


def _load(name: str, options: ReadingOptions, notify: Notify) -> ImageDataset:
    """Reads a data set as it is."""
    kind, location = names.split(name)
    if not kind:
        return _load_described(DATASETS[name], options, notify)
    if kind == names.TFDS:
        from normtest_tf.datasets.sources import tfds_any

        return tfds_any.load(location, slug(name), options, notify)
    if kind == names.CSV:
        from normtest_tf.datasets.sources import csv_files

        return csv_files.load(names.path(location), slug(name), options, notify)
    from normtest_tf.datasets.sources import folders

    return folders.load(names.path(location), slug(name), options, notify)


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
    kind, location = names.split(name)
    if kind == names.FOLDER:
        from normtest_tf.datasets.sources import folders

        folders.find_splits(names.path(location), options)
    elif kind == names.CSV:
        from normtest_tf.datasets.sources import csv_files

        csv_files.check_header(names.path(location))
    elif not kind:
        _check_has_own_splits(name, options)


def _load_described(
    description: DatasetDescription, options: ReadingOptions, notify: Notify
) -> ImageDataset:
    """Loads one of `DATASETS`."""
    _check_has_own_splits(description.name, options)
    if description.loader == "tiny_imagenet":
        from normtest_tf.datasets.sources import tiny_imagenet

        return tiny_imagenet.load(description, options, notify)
    if description.loader == "digits":
        from normtest_tf.datasets.sources import digits

        dataset = digits.load()
    else:
        from normtest_tf.datasets.sources import tfds_sets

        dataset = tfds_sets.load(description, options.data_dir)
    if options.image_size in (None, description.image_size):
        if options.test_fraction or options.split_seed is not None:
            notify(
                f"{description.name} has a test split, so --test_fraction and "
                "--split_seed change nothing"
            )
        return dataset
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
    """Returns a data set at another image size, kept in memory if it fits there."""
    from normtest_tf.datasets import assembly, decoding

    def examples(split: str, images: Images, labels: np.ndarray) -> assembly.Examples:
        def decode(index: int) -> np.ndarray:
            assert isinstance(images, np.ndarray)
            assert options.image_size is not None
            return decoding.resized(images[index], options.image_size)

        of_split = [f"image {index} of {split}" for index in range(len(labels))]
        return assembly.Examples(of_split, labels, decode)

    return assembly.assemble(
        dataset.name,
        dataset.class_names,
        examples("train", dataset.train_images, dataset.train_labels),
        examples("test", dataset.test_images, dataset.test_labels),
        options,
        notify,
    )
