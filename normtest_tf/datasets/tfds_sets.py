"""CIFAR10, CIFAR100 and SVHN, through TensorFlow Datasets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib import parse

import numpy as np

from normtest_tf import errors
from normtest_tf.datasets import descriptions, image_dataset
from normtest_tf.system import files, hosts

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def load(
    description: descriptions.DatasetDescription, data_dir: str | None
) -> image_dataset.ImageDataset:
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
    _check_data_dir(data_dir)
    root = default_data_dir() if data_dir is None else os.path.expanduser(data_dir)
    builder = _prepared_builder(description, root)
    try:
        train_images, train_labels = _read(builder, "train")
        test_images, test_labels = _read(builder, "test")
        return image_dataset.ImageDataset(
            name=description.name,
            train_images=train_images,
            train_labels=train_labels,
            test_images=test_images,
            test_labels=test_labels,
            class_names=description.class_names,
        )
    except Exception as error:  # TensorFlow raises a type per kind of corruption.
        raise _corrupt(description.name, str(builder.data_path), error) from error


def default_data_dir() -> str:
    """Returns the directory that TFDS uses by default."""
    return os.path.expanduser(
        os.environ.get("TFDS_DATA_DIR") or os.path.join("~", "tensorflow_datasets")
    )


def _check_data_dir(data_dir: str | None) -> None:
    if data_dir is None:
        return
    path = files.expand(data_dir)
    if not os.path.isdir(path):  # `Path.is_dir` would raise.
        what = "is not a folder" if os.path.exists(path) else "does not exist"
        raise errors.UsageError(
            f"--data_dir {data_dir!r} {what}. Pass the folder that contains prepared "
            "TFDS data, or create an empty folder to download them into"
        )


def _prepared_builder(
    description: descriptions.DatasetDescription, root: str
) -> tfds.core.DatasetBuilder:
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(description.name, data_dir=root, try_gcs=False)
        prepared = (builder.data_path / "dataset_info.json").exists()
    except Exception as error:  # TFDS, protobuf and JSON each raise their own types.
        raise _corrupt(description.name, root, error) from error
    if not prepared:
        _prepare(builder, description, root)
    return builder


def _prepare(
    builder: tfds.core.DatasetBuilder,
    description: descriptions.DatasetDescription,
    root: str,
) -> None:
    """Downloads and prepares a data set; fails within seconds when offline."""
    import tensorflow_datasets as tfds

    url = description.download_url
    assert url is not None  # Every TFDS data set has one.
    # Offline, TFDS would retry for minutes.
    if problem := hosts.host_problem(url):
        host = parse.urlsplit(url).hostname
        raise _unavailable(builder, root, f"{host} can't be reached ({problem})")
    try:
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(try_download_gcs=False)
        )
    except Exception as error:  # Network, disk and checksums raise their own types.
        reason = f"its download failed ({errors.first_cause(error)})"
        raise _unavailable(builder, root, reason) from error


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


def _unavailable(
    builder: tfds.core.DatasetBuilder, root: str, reason: str
) -> errors.UsageError:
    name = builder.name
    command = (
        'python -c "import tensorflow_datasets as tfds; '
        f"tfds.builder('{name}', data_dir='DIR').download_and_prepare()\""
    )
    return errors.UsageError(
        f"{name} is not prepared in --data_dir {root} (looked for "
        f"{builder.data_path}), and {reason}. Pass a --data_dir where it is prepared, "
        f"prepare it on a machine with network access ({command}), or use "
        "--dataset=digits, which needs no download"
    )


def _corrupt(name: str, path: str, error: Exception) -> errors.UsageError:
    return errors.UsageError(
        f"the prepared data of {name} in {path} can't be read "
        f"({errors.one_line(error)[:300]}). Delete them to download and prepare them "
        "again, or pass another --data_dir"
    )
