"""Any image classification set of TensorFlow Datasets: `tfds:NAME/CONFIG`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from normtest_tf import errors
from normtest_tf.datasets import assembly, decoding, division
from normtest_tf.datasets.image_dataset import ImageDataset
from normtest_tf.datasets.options import ReadingOptions
from normtest_tf.datasets.sources import tfds_builders, tfds_records
from normtest_tf.datasets.sources.folders import TEST_SPLITS
from normtest_tf.text import Notify, counted, ignore

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def load(
    tfds_name: str, name: str, options: ReadingOptions, notify: Notify = ignore
) -> ImageDataset:
    """Reads a data set, after downloading and preparing it if necessary.

    Images are decoded by Pillow, like files, and put in a fixed order in which the
    classes are mixed.

    Args:
        tfds_name: In TFDS, perhaps with a configuration and a version.
        name: The name for the data set.
        options: How to read it.
        notify: Called with notes on the images.

    Returns:
        The data set. If it has one split only, `division.choose_test` divides it.

    Raises:
        UsageError: If it is no image classification set, or a split or its labels
            can't be used, or the data are corrupt or can't be downloaded.
    """
    builder = tfds_builders.prepared(
        tfds_name, options.data_dir, check=lambda found: _features(found, tfds_name)
    )
    image, label = _features(builder, tfds_name)
    class_names = builder.info.features[label].names
    assembly.check_number(f"tfds:{tfds_name}", class_names)
    train_split, test_split = _splits(builder, tfds_name, options)

    def examples(split: str) -> assembly.Examples:
        return _examples(builder, tfds_name, split, (image, label), options)

    how = None
    if test_split is None:
        train, test, how = assembly.divide(examples(train_split), class_names, options)
    else:
        train, test = examples(train_split), examples(test_split)
    return assembly.assemble(
        name,
        class_names,
        train,
        test,
        options,
        notify,
        place=str(builder.data_path),
        division=how,
    )


def _features(builder: tfds.core.DatasetBuilder, name: str) -> tuple[str, str]:
    """Returns the names of the features that hold the image and the label."""
    import tensorflow_datasets as tfds

    features = dict(builder.info.features or {})
    images = _named(features, tfds.features.Image)
    labels = _named(features, tfds.features.ClassLabel)
    keys = builder.info.supervised_keys
    if keys and keys[0] in images and keys[1] in labels:
        return _of_bytes(features, name, keys[0]), keys[1]
    if len(images) == 1 and len(labels) == 1:
        return _of_bytes(features, name, images[0]), labels[0]
    found = ", ".join(
        f"{key} ({type(kind).__name__})" for key, kind in features.items()
    )
    if not images or not labels:
        missing = "image" if not images else "class label"
        raise errors.UsageError(
            f"tfds:{name} has no {missing} and is no image classification set. Its "
            f"features: {found[:300]}. Choose another one"
        )
    raise errors.UsageError(
        f"tfds:{name} has several images or class labels, and TensorFlow Datasets does "
        f"not say which to use. Its features: {found[:300]}. Choose another one"
    )


def _of_bytes(features: dict[str, Any], name: str, image: str) -> str:
    """Returns the name of the images' feature, if they have 8 bits per channel."""
    dtype = np.dtype(features[image].np_dtype)
    if dtype != np.uint8:
        raise errors.UsageError(
            f"the images of tfds:{name} are of {dtype}, and only those of 8 bits per "
            "channel are read. Choose another data set"
        )
    return image


def _named(features: dict[str, object], kind: type) -> list[str]:
    # A subclass, such as a mask or a video, is something else.
    return [key for key, feature in features.items() if type(feature) is kind]


def _splits(
    builder: tfds.core.DatasetBuilder, name: str, options: ReadingOptions
) -> tuple[str, str | None]:
    """Returns the split to train on, and the one to test on if there is one."""
    there: Sequence[str] = list(builder.info.splits)
    train = options.train_split or ("train" if "train" in there else None)
    if train is None:
        if len(there) > 1:
            raise errors.UsageError(
                f"tfds:{name} has no split train, only {', '.join(there)}. Pass "
                "--train_split and --test_split"
            )
        train = there[0] if there else "train"
    others = [split for split in TEST_SPLITS if split in there and split != train]
    test = options.test_split or (others[0] if others else None)
    for flag, split in (("train_split", train), ("test_split", test)):
        if split is not None and there:
            _check_split(builder, name, flag, split)
    if test is not None:
        _check_disjoint(builder, name, train, test)
    return train, test


def _check_split(
    builder: tfds.core.DatasetBuilder, name: str, flag: str, split: str
) -> None:
    """Raises `UsageError` if there is no such split, or nothing in a slice of one."""
    there = ", ".join(
        f"{known} ({of_split.num_examples} images)"
        for known, of_split in builder.info.splits.items()
    )
    allowed = f"Allowed: {there}, and slices such as train[:80%]"
    try:
        count = builder.info.splits[split].num_examples
    except Exception as error:  # TFDS raises several types, one with a traceback.
        raise errors.UsageError(
            f"tfds:{name} has no --{flag}={split}. {allowed}"
        ) from error
    if not count:
        raise errors.UsageError(f"--{flag}={split} of tfds:{name} is empty. {allowed}")
    parts = builder.info.splits[split].file_instructions
    if any(_shared(one, other) for one, other in itertools.combinations(parts, 2)):
        raise errors.UsageError(
            f"--{flag}={split} of tfds:{name} has images twice. Choose slices that "
            "don't overlap"
        )


def _check_disjoint(
    builder: tfds.core.DatasetBuilder, name: str, train: str, test: str
) -> None:
    """Raises `UsageError` if two splits have records in common."""
    if not builder.info.splits:
        return
    shared = sum(
        _shared(one, other)
        for one in builder.info.splits[train].file_instructions
        for other in builder.info.splits[test].file_instructions
    )
    if shared:
        raise errors.UsageError(
            f"--train_split={train} and --test_split={test} of tfds:{name} share "
            f"{counted(shared, 'image')}: tests on training images show nothing. "
            "Choose splits that don't overlap"
        )


def _shared(one: Any, other: Any) -> int:  # noqa: ANN401  (TFDS has no public type)
    """Returns how many records two parts of files have in common."""
    if one.filename != other.filename:
        return 0
    ends = min(one.skip + one.take, other.skip + other.take)
    return max(0, ends - max(one.skip, other.skip))


def _examples(
    builder: tfds.core.DatasetBuilder,
    name: str,
    split: str,
    features: tuple[str, str],
    options: ReadingOptions,
) -> assembly.Examples:
    """Returns the images of a split, in a fixed order that mixes the classes."""
    try:
        records = tfds_records.find(builder, split, *features)
    except errors.UsageError:
        raise
    except Exception as error:  # TensorFlow raises a type per kind of corruption.
        raise tfds_builders.corrupt(name, str(builder.data_path), error) from error
    classes = builder.info.features[features[1]].num_classes
    outside = (records.labels < 0) | (records.labels >= classes)
    if outside.any():
        raise errors.UsageError(
            f"{int(outside.sum())} of {len(outside)} images of tfds:{name}, split "
            f"{split}, have a label that is not from 0 to {classes - 1}, such as "
            f"{records.labels[outside][0]}: they have no class. Choose another split"
        )

    def decode(index: int) -> np.ndarray:
        place = f"image {index} of {split}"
        return decoding.decode(
            records.read(index), place, options.image_size, options.resize
        )

    count = len(records.labels)
    names = [f"image {index} of {split}" for index in range(count)]
    stored = assembly.Examples(names, records.labels.astype(np.int32), decode)
    # The files' order may be that of the classes.
    return stored.choose(
        division.mixed_order([f"{index:012}" for index in range(count)])
    )
