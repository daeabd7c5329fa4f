"""CIFAR10, CIFAR100 and SVHN, through TensorFlow Datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from normtest_tf.datasets import descriptions
from normtest_tf.datasets.image_dataset import ImageDataset
from normtest_tf.datasets.sources import tfds_builders

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def load(
    description: descriptions.DatasetDescription, data_dir: str | None
) -> ImageDataset:
    """Reads a data set, after downloading and preparing it if necessary.

    The images are sorted by TFDS's `id`, their position in the original files, so
    that the first N are the same however the data were prepared.

    Args:
        description: A data set whose loader is `tfds`.
        data_dir: TFDS's data directory, which must exist; None for TFDS's default.

    Returns:
        The `train` and `test` splits.

    Raises:
        UsageError: If the data are corrupt, or missing and can't be downloaded.
    """
    builder = tfds_builders.prepared(
        description.name, data_dir, description.download_url
    )
    try:
        train_images, train_labels = _read(builder, "train")
        test_images, test_labels = _read(builder, "test")
        return ImageDataset(
            name=description.name,
            train_images=train_images,
            train_labels=train_labels,
            test_images=test_images,
            test_labels=test_labels,
            class_names=description.class_names,
        )
    except Exception as error:  # TensorFlow raises a type per kind of corruption.
        path = str(builder.data_path)
        raise tfds_builders.corrupt(description.name, path, error) from error


def _read(
    builder: tfds.core.DatasetBuilder, split: str
) -> tuple[np.ndarray, np.ndarray]:
    """Reads one split.

    Args:
        builder: A prepared builder.
        split: `train` or `test`.

    Returns:
        uint8 images `[n, 32, 32, 3]` and int32 labels `[n]`, ordered by id. TFDS
        itself raises if there are fewer than its metadata say.
    """
    import tensorflow_datasets as tfds

    columns = tfds.as_numpy(
        builder.as_dataset(split=split, batch_size=-1, shuffle_files=False)
    )
    images, labels = columns["image"], columns["label"].astype(np.int32)
    if "id" not in columns:
        return images, labels
    # Shorter ids first: numbers are zero-padded to five digits, and some have six.
    ids = columns["id"]
    order = sorted(range(len(ids)), key=lambda index: (len(ids[index]), ids[index]))
    return images[order], labels[order]
