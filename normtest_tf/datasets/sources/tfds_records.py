"""The encoded images of TensorFlow Datasets: where they are, and reading one."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from normtest_tf import errors

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

# A record of a TFRecord file is its length in 8 bytes, a checksum of that in 4, the
# data, and a checksum of those in 4.
_BEFORE, _AFTER = 12, 4


@dataclasses.dataclass(frozen=True)
class Records:
    """The images of a split, encoded, in the order of its files.

    Attributes:
        labels: int64 `[n]`, as stored.
        read: Returns the file of the image of an index.
    """

    labels: np.ndarray
    read: Callable[[int], bytes]


def find(
    builder: tfds.core.DatasetBuilder, split: str, image: str, label: str
) -> Records:
    """Finds the images of a split.

    Those in TFRecord and ArrayRecord files stay there; those in other formats are read
    into memory, as they are encoded.

    Args:
        builder: A prepared builder.
        split: The name of a split, or a slice of one.
        image: The name of the images' feature.
        label: The name of the labels' feature.

    Raises:
        Exception: Of many types, if the data are corrupt.
    """
    import tensorflow_datasets as tfds

    if builder.info.file_format is tfds.core.FileFormat.ARRAY_RECORD:
        return _in_array_records(builder, split, image, label)
    places = _instructions(builder, split)
    if places is None:
        return _in_memory(builder, split, image, label)
    return _in_files(places, image, label)


def _instructions(
    builder: tfds.core.DatasetBuilder, split: str
) -> list[tuple[str, int, int]] | None:
    """Returns each file's path, first record and number; None if they are unknown."""
    import tensorflow_datasets as tfds

    if builder.info.file_format is not tfds.core.FileFormat.TFRECORD:
        return None
    if not builder.info.splits:
        return None
    places = []
    for part in builder.info.splits[split].file_instructions:
        path = os.fspath(part.filename)
        if not os.path.isfile(path):
            return None
        places.append((path, part.skip, part.take))
    return places


def _in_files(places: list[tuple[str, int, int]], image: str, label: str) -> Records:
    import tensorflow as tf

    found: list[tuple[str, int, int]] = []  # Path, offset and length of each.
    labels: list[int] = []
    for path, first, count in places:
        offset, number = 0, 0
        try:
            for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
                if first <= number < first + count:
                    found.append((path, offset + _BEFORE, len(record)))
                    features = tf.train.Example.FromString(record).features.feature
                    (one_label,) = features[label].int64_list.value
                    (_,) = features[image].bytes_list.value
                    labels.append(one_label)
                offset += _BEFORE + len(record) + _AFTER
                number += 1
        except (tf.errors.OpError, ValueError) as error:
            raise ValueError(f"record {number} of {path} is damaged") from error
        if number < first + count:
            raise ValueError(f"{path} has {number} records, not {first + count}")

    def read(index: int) -> bytes:
        path, offset, length = found[index]
        try:
            with open(path, "rb") as file:
                file.seek(offset)
                record = file.read(length)
            if len(record) < length:
                raise OSError(f"it has become shorter than {offset + length} bytes")
            features = tf.train.Example.FromString(record).features.feature
            return features[image].bytes_list.value[0]
        except Exception as error:  # The system's, and protobuf's own.
            raise errors.UsageError(
                f"{path} can't be read any more ({errors.reason(error)}). Don't change "
                "data while a run reads them"
            ) from error

    return Records(np.array(labels, np.int64), read)


def _in_array_records(
    builder: tfds.core.DatasetBuilder, split: str, image: str, label: str
) -> Records:
    import tensorflow_datasets as tfds

    source = builder.as_data_source(
        split=split, decoders={image: tfds.decode.SkipDecoding()}
    )
    labels = np.array([source[index][label] for index in range(len(source))], np.int64)
    return Records(labels, lambda index: bytes(source[index][image]))


def _in_memory(
    builder: tfds.core.DatasetBuilder, split: str, image: str, label: str
) -> Records:
    import tensorflow_datasets as tfds

    stored = builder.as_dataset(
        split=split,
        shuffle_files=False,
        decoders={image: tfds.decode.SkipDecoding()},
        read_config=tfds.ReadConfig(interleave_cycle_length=1),
    )
    examples = [
        (int(example[label]), bytes(example[image]))
        for example in tfds.as_numpy(stored)
    ]
    labels = np.array([label for label, _ in examples], np.int64)
    return Records(labels, lambda index: examples[index][1])
