"""The data sets: uint8 RGB images, in memory or in a temporary file.

catalogue  what --dataset means; the described sets, and reading those TFDS lacks
dataset    ImageDataset: the images, their fingerprint, subsets
splits     orders, test and validation splits that depend on a seed alone
images     image files to arrays of one size; shifts of contrast, brightness, colour
loading    options; from encoded images to an ImageDataset, checked
folders    a folder of images: `folder:PATH`
csv_files  a table of files and labels: `csv:PATH`
tfds       CIFAR10, CIFAR100, SVHN and `tfds:NAME`, from TensorFlow Datasets
"""

from normtest_tf.datasets.catalogue import (
    DATASETS,
    PATTERNS,
    DatasetDescription,
    check_available,
    load,
    slug,
)
from normtest_tf.datasets.dataset import ImageDataset, Images, MappedImages
from normtest_tf.datasets.images import NO_SHIFT, SHIFT_HELP, parse_shift
from normtest_tf.datasets.loading import (
    MAX_IMAGE_SIZE,
    RESIZES,
    TEST_FRACTION,
    ReadingOptions,
    parse_size,
)
from normtest_tf.datasets.splits import split_validation

__all__ = [
    "DATASETS",
    "MAX_IMAGE_SIZE",
    "NO_SHIFT",
    "PATTERNS",
    "RESIZES",
    "SHIFT_HELP",
    "TEST_FRACTION",
    "DatasetDescription",
    "ImageDataset",
    "Images",
    "MappedImages",
    "ReadingOptions",
    "check_available",
    "load",
    "parse_shift",
    "parse_size",
    "slug",
    "split_validation",
]
