"""Sets of TensorFlow Datasets: the described ones, and any other of images."""

from __future__ import annotations

import itertools
import mmap
import os
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib import parse

import numpy as np

from normtest_tf import errors
from normtest_tf.datasets import catalogue, images, loading, splits
from normtest_tf.datasets.dataset import ImageDataset
from normtest_tf.datasets.loading import Examples, ReadingOptions
from normtest_tf.system import files
from normtest_tf.text import Notify, counted

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_BATCH = 256  # Records read at a time.


def default_data_dir() -> str:
    """Returns the directory that TFDS uses by default."""
    return os.path.expanduser(
        os.environ.get("TFDS_DATA_DIR") or os.path.join("~", "tensorflow_datasets")
    )


def load_described(
    description: catalogue.DatasetDescription, data_dir: str | None
) -> ImageDataset:
    """Reads CIFAR10, CIFAR100 or SVHN, after downloading it if necessary.

    The images are sorted by TFDS's `id`, their position in the original files, so
    that the first N are the same however the data were prepared.
    """
    import tensorflow_datasets as tfds

    builder = _builder(description.name, data_dir)
    _prepare(builder, description.name, description.download_url)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    try:
        for split in ("train", "test"):
            columns = tfds.as_numpy(
                builder.as_dataset(split=split, batch_size=-1, shuffle_files=False)
            )
            order = np.arange(len(columns["label"]))
            if "id" in columns:
                # Numbers are zero-padded to five digits, and some have six.
                ids = columns["id"]
                order = np.array(sorted(order, key=lambda i: (len(ids[i]), ids[i])))
            labels = columns["label"][order].astype(np.int32)
            found.append((columns["image"][order], labels))
        return ImageDataset(
            description.name, *found[0], *found[1], description.class_names
        )
    except Exception as error:  # TensorFlow raises a type per kind of corruption.
        raise _corrupt(builder, description.name, error) from error


def load(
    tfds_name: str, name: str, options: ReadingOptions, notify: Notify
) -> ImageDataset:
    """Reads any image classification set, after downloading it if necessary.

    Images are decoded by Pillow, like files, and put in a fixed order in which the
    classes are mixed.
    """
    builder = _builder(tfds_name, options.data_dir)
    if builder.info.features is not None:
        _features(builder, tfds_name)  # Before anything is downloaded.
    _prepare(builder, tfds_name, next(iter(builder.url_infos or {}), None))
    image, label = _features(builder, tfds_name)
    train, test = _splits(builder, tfds_name, options)
    try:
        examples = [
            _examples(builder, split, image, label, options)
            for split in (train, test)
            if split is not None
        ]
    except errors.UsageError:
        raise
    except Exception as error:  # TensorFlow raises a type per kind of corruption.
        raise _corrupt(builder, tfds_name, error) from error
    return loading.assemble(
        name,
        builder.info.features[label].names,
        examples[0],
        examples[1] if test else None,
        options,
        notify,
        f"tfds:{tfds_name}",
    )


def _builder(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    """Returns the builder of a data set, prepared or not."""
    import tensorflow_datasets as tfds

    if data_dir is not None and not os.path.isdir(files.expand(data_dir)):
        raise errors.UsageError(
            f"--data_dir {data_dir!r} is not a folder. Pass the folder that contains "
            "prepared TFDS data, or create an empty folder to download them into"
        )
    root = default_data_dir() if data_dir is None else os.path.expanduser(data_dir)
    try:
        return tfds.builder(name, data_dir=root, try_gcs=False)
    except tfds.core.DatasetNotFoundError as error:
        known = tfds.list_builders(with_community_datasets=False)
        raise errors.unknown_name(
            "data set",
            name,
            known,
            f"TensorFlow Datasets {tfds.__version__} has no such data set, and there "
            f"is none in --data_dir {root}",
        ) from error
    except Exception as error:  # TFDS, protobuf and JSON each raise their own types.
        raise errors.UsageError(
            f"tfds:{name} can't be used from --data_dir {root}: "
            f"{errors.one_line(error)[:300]}"
        ) from error


def _prepare(builder: tfds.core.DatasetBuilder, name: str, url: str | None) -> None:
    """Downloads and prepares a data set if necessary; fails within seconds offline."""
    import tensorflow_datasets as tfds

    if (builder.data_path / "dataset_info.json").exists():
        return
    try:
        # Offline, TFDS would retry for minutes.
        if url and (problem := files.host_problem(url)):
            host = parse.urlsplit(url).hostname
            raise OSError(f"{host} can't be reached ({problem})")
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(try_download_gcs=False)
        )
    except Exception as error:  # Network, disk and checksums raise their own types.
        raise errors.UsageError(
            f"{name} is not prepared (looked for {builder.data_path}), and its "
            f"download failed: {errors.first_cause(error)}. Pass a --data_dir where it "
            "is prepared, or prepare it on a machine with network access (python -c "
            f"\"import tensorflow_datasets as tfds; tfds.builder('{name}', "
            "data_dir='DIR').download_and_prepare()\"); --dataset=digits needs no "
            "download"
        ) from error


def _corrupt(
    builder: tfds.core.DatasetBuilder, name: str, error: Exception
) -> errors.UsageError:
    return errors.UsageError(
        f"the prepared data of {name} in {builder.data_path} can't be read "
        f"({errors.one_line(error)[:300]}). Delete them to download and prepare them "
        "again, or pass another --data_dir"
    )


def _features(builder: tfds.core.DatasetBuilder, name: str) -> tuple[str, str]:
    """Returns the names of the features that hold the image and the label."""
    import tensorflow_datasets as tfds

    features = dict(builder.info.features or {})
    # A subclass, such as a mask or a video, is something else.
    pictures = [key for key in features if type(features[key]) is tfds.features.Image]
    labels = [
        key for key in features if type(features[key]) is tfds.features.ClassLabel
    ]
    keys = builder.info.supervised_keys
    if keys and keys[0] in pictures and keys[1] in labels:
        pictures, labels = [keys[0]], [keys[1]]
    if len(pictures) != 1 or len(labels) != 1:
        found = ", ".join(f"{key} ({type(features[key]).__name__})" for key in features)
        raise errors.UsageError(
            f"tfds:{name} does not have one image and one class label. Its features: "
            f"{found[:300]}. Choose another data set"
        )
    if (dtype := np.dtype(features[pictures[0]].np_dtype)) != np.uint8:
        raise errors.UsageError(
            f"the images of tfds:{name} are of {dtype}, and only those of 8 bits per "
            "channel are read. Choose another data set"
        )
    return pictures[0], labels[0]


def _splits(
    builder: tfds.core.DatasetBuilder, name: str, options: ReadingOptions
) -> tuple[str, str | None]:
    """Returns the split to train on, and the one to test on if there is one."""
    known = builder.info.splits
    there = list(known)
    train = options.train_split or (there[0] if len(there) == 1 else splits.TRAIN)
    others = [split for split in splits.TESTS if split in there and split != train]
    test = options.test_split or next(iter(others), None)
    if not there:  # Mocked data have no records to look at.
        return train, test
    used = []
    for split in filter(None, (train, test)):
        try:
            if not known[split].num_examples:
                raise ValueError("it is empty")
            used += known[split].file_instructions
        except Exception as error:  # TFDS raises several types, one with a traceback.
            sizes = ", ".join(f"{one} ({known[one].num_examples})" for one in there)
            raise errors.UsageError(
                f"tfds:{name} has no usable split {split}: "
                f"{errors.one_line(error)[:100]}. Pass --train_split and --test_split, "
                f"of {sizes} and slices such as train[:80%]"
            ) from error
    shared = sum(
        max(0, min(a.skip + a.take, b.skip + b.take) - max(a.skip, b.skip))
        for a, b in itertools.combinations(used, 2)
        if a.filename == b.filename
    )
    if shared:
        raise errors.UsageError(
            f"--train_split={train} and --test_split={test} of tfds:{name} have "
            f"{counted(shared, 'image')} twice: tests on training images show nothing. "
            "Choose splits that don't overlap"
        )
    return train, test


def _examples(
    builder: tfds.core.DatasetBuilder,
    split: str,
    image: str,
    label: str,
    options: ReadingOptions,
) -> Examples:
    """Returns the images of a split, in a fixed order that mixes the classes.

    Records are read once, in the order of their files. Encoded images are kept in a
    file without a name, which goes with the process.
    """
    labels: list[int] = []
    ends = [0]
    with tempfile.TemporaryFile() as file:
        for data, number in _records(builder, split, image, label):
            file.write(data)
            ends.append(ends[-1] + len(data))
            labels.append(number)
        file.flush()
        encoded = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    known = range(builder.info.features[label].num_classes)
    if outside := [one for one in labels if one not in known]:
        raise errors.UsageError(
            f"{len(outside)} of {len(labels)} images of {builder.name}, split {split}, "
            f"have a label that is no class, such as {outside[0]}. Choose another split"
        )
    # The files' order may be that of the classes.
    order = splits.mixed_order([f"{index:012}" for index in range(len(labels))])
    names = [f"image {index} of {split}" for index in order]

    def decode(position: int) -> np.ndarray:
        index = order[position]
        data = encoded[ends[index] : ends[index + 1]]
        return images.decode(data, names[position], options.image_size, options.resize)

    return Examples(names, np.array(labels, np.int32)[order], decode)


def _records(
    builder: tfds.core.DatasetBuilder, split: str, image: str, label: str
) -> Iterator[tuple[bytes, int]]:
    """Yields the encoded image and the label of each record of a split."""
    import tensorflow_datasets as tfds

    decoders = {image: tfds.decode.SkipDecoding()}
    if builder.info.file_format is tfds.core.FileFormat.ARRAY_RECORD:
        for record in builder.as_data_source(split=split, decoders=decoders):
            yield record[image], record[label]
        return
    stored = builder.as_dataset(
        split=split,
        shuffle_files=False,
        decoders=decoders,
        read_config=tfds.ReadConfig(interleave_cycle_length=1),
    )
    for batch in tfds.as_numpy(stored.batch(_BATCH)):
        yield from zip(batch[image], batch[label].tolist(), strict=True)
