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
    shifts,
    tfds,
    tiny_imagenet,
)
from normtest_tf.datasets.catalogue import DATASETS, PATTERNS, DatasetDescription, slug
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
    check_available(name, options)
    kind, location = catalogue.parse(name)
    if kind == catalogue.TFDS:
        dataset = tfds.load(location, slug(name), options, notify, is_official=False)
    elif kind:
        of_kind = folders if kind == catalogue.FOLDER else csv_files
        dataset = of_kind.load(files.expand(location), slug(name), options, notify)
    elif name == "digits":
        dataset = digits.load(options, notify)
    elif name == "tiny_imagenet":
        dataset = tiny_imagenet.load(options, notify)
    else:
        dataset = tfds.load(name, name, options, notify, is_official=True)
    return shifted(dataset, options.shift)


def shifted(dataset: ImageDataset, shift: str) -> ImageDataset:
    """Returns a data set with all of its images changed in the same way.

    Args:
        dataset: The data set.
        shift: What is done to its images; see `shifts`.

    Returns:
        A copy, or one whose images in a file are shifted whenever they are read.

    Raises:
        UsageError: If there is no such shift.
    """
    change = shifts.parse(shift)
    if change.kind == shifts.NONE:
        return dataset
    train_images, test_images = (
        change.apply(pixels)
        if isinstance(pixels, np.ndarray)
        else dataclasses.replace(pixels, changes=(*pixels.changes, change))
        for pixels in (dataset.train_images, dataset.test_images)
    )
    return dataclasses.replace(
        dataset, train_images=train_images, test_images=test_images
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
    elif not kind and (options.train_split or options.test_split):
        raise errors.UsageError(
            f"--train_split and --test_split don't apply to {name}, which has its own "
            f"splits. Omit them, or write --dataset=tfds:{name}"
        )
