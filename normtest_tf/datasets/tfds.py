"""Sets of TensorFlow Datasets: the described ones, and any other of images."""

from __future__ import annotations

import errno
import itertools
import mmap
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib import parse

import numpy as np

from normtest_tf import errors
from normtest_tf.datasets import images, splits
from normtest_tf.datasets.loading import Examples, ReadingOptions, Source
from normtest_tf.system import files, keras_setup
from normtest_tf.text import counted

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_BATCH = 256  # Records read at a time.


def default_data_dir() -> str:
    """Returns the directory that TFDS uses by default."""
    folder = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return os.path.expanduser(folder)


def find(
    tfds_name: str, name: str, options: ReadingOptions, *, is_official: bool
) -> Source:
    """Finds any image classification set, in the official or in a mixed order."""
    builder = _builder(tfds_name, options.data_dir)
    if builder.info.features is not None:
        _features(builder, tfds_name)  # Before anything is downloaded.
    _prepare(builder, tfds_name)
    keys = _features(builder, tfds_name)
    used = _splits(builder, tfds_name, options)
    try:
        examples = [
            _examples(builder, split, keys, options, is_official) for split in used
        ]
    except errors.UsageError:
        raise
    except Exception as error:  # TensorFlow raises a type per kind of corruption.
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            folder = pathlib.Path(tempfile.gettempdir())
            raise errors.unwritable(folder, error) from error
        raise errors.UsageError(
            f"the prepared data of {tfds_name} in {builder.data_path} can't be read "
            f"({errors.one_line(error)[:300]}). Delete them to download and prepare "
            "them again, or pass another --data_dir"
        ) from error
    class_names = builder.info.features[keys[1]].names
    return Source(name, class_names, examples, f"tfds:{tfds_name}")


def _builder(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    """Returns the builder of a data set, prepared or not."""
    try:  # What is broken logs a traceback, and its first import is an empty module.
        with keras_setup.silent_stderr():
            import tensorflow_datasets as tfds
            import tensorflow_datasets.core
    except Exception as error:
        raise errors.UsageError(
            f"can't import tensorflow_datasets: {errors.first_cause(error)}; upgrade "
            "it, tensorflow and protobuf"
        ) from error
    if data_dir is not None and not os.path.isdir(files.expand(data_dir)):
        raise errors.UsageError(
            f"--data_dir {data_dir!r} is not a folder. Pass one that contains prepared "
            "TFDS data, or an empty one to download them into"
        )
    root = str(files.expand(data_dir or default_data_dir()))
    try:
        return tfds.builder(name, data_dir=root, try_gcs=False)
    except tfds.core.DatasetNotFoundError as error:
        known = tfds.list_builders(with_community_datasets=False)
        where = f"TensorFlow Datasets {tfds.__version__} has none, nor has {root}"
        raise errors.unknown_name("data set", name, known, where) from error
    except Exception as error:  # TFDS, protobuf and JSON each raise their own types.
        raise errors.UsageError(
            f"tfds:{name} can't be used from --data_dir {root}: "
            f"{errors.one_line(error)[:300]}"
        ) from error


def _prepare(builder: tfds.core.DatasetBuilder, name: str) -> None:
    """Downloads and prepares a data set if necessary; fails within seconds offline."""
    import tensorflow_datasets as tfds

    if (builder.data_path / "dataset_info.json").exists():
        return
    try:
        url = next(iter(builder.url_infos or {}), None)
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
            f"is prepared, perhaps by tfds.builder('{name}', data_dir='DIR')"
            ".download_and_prepare() on another machine; --dataset=digits needs no "
            "download"
        ) from error


def _features(builder: tfds.core.DatasetBuilder, name: str) -> list[str]:
    """Returns the names of the features that hold the image and the label."""
    import tensorflow_datasets as tfds

    features = dict(builder.info.features or {})
    pictures, labels = (
        # A subclass, such as a mask or a video, is something else.
        [key for key, feature in features.items() if type(feature) is kind]
        for kind in (tfds.features.Image, tfds.features.ClassLabel)
    )
    keys = builder.info.supervised_keys
    if keys and keys[0] in pictures and keys[1] in labels:
        pictures, labels = [keys[0]], [keys[1]]
    if len(pictures) != 1 or len(labels) != 1:
        found = ", ".join(
            f"{key} ({type(features[key]).__name__})" for key in sorted(features)
        )
        raise errors.UsageError(
            f"tfds:{name} does not have one image and one class label. Its features: "
            f"{found[:300]}. Choose another data set"
        )
    if (dtype := np.dtype(features[pictures[0]].np_dtype)) != np.uint8:
        raise errors.UsageError(
            f"the images of tfds:{name} are of {dtype}, and only those of 8 bits per "
            "channel are read. Choose another data set"
        )
    return [*pictures, *labels]


def _splits(
    builder: tfds.core.DatasetBuilder, name: str, options: ReadingOptions
) -> list[str]:
    """Returns the split to train on, and the one to test on if there is one."""
    known = builder.info.splits
    there = list(known)
    train = options.train_split or (there[0] if len(there) == 1 else splits.TRAIN)
    others = [split for split in splits.TESTS if split in there and split != train]
    named = [train, *([options.test_split] if options.test_split else others[:1])]
    used = []
    for split in named:
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
            f"the splits {' and '.join(named)} of tfds:{name} have "
            f"{counted(shared, 'image')} twice: tests on training images show nothing. "
            "Choose splits that don't overlap"
        )
    return named


def _examples(
    builder: tfds.core.DatasetBuilder,
    split: str,
    keys: list[str],
    options: ReadingOptions,
    is_official: bool,
) -> Examples:
    """Reads a split once, in the order of its files, into a file without a name."""
    features = builder.info.features
    if is_official and "id" in features:
        keys = [*keys, "id"]
    labels: list[int] = []
    ids: list[list[tuple[int, bytes]]] = []
    ends = [0]
    with tempfile.TemporaryFile() as file:
        for data, number, *ident in _records(builder, split, keys, is_official):
            ends.append(ends[-1] + file.write(data))
            labels.append(number)
            # Numbers in ids are zero-padded to five digits, and some have six.
            ids.append([(len(one), one) for one in ident])
        file.flush()
        stored = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    known = range(features[keys[1]].num_classes)
    if outside := [one for one in labels if one not in known]:
        raise errors.UsageError(
            f"{len(outside)} of {len(labels)} images of {builder.name}, split {split}, "
            f"have a label that is no class, such as {outside[0]}. Choose another split"
        )
    indices = range(len(labels))
    order = sorted(indices, key=ids.__getitem__)
    if not is_official:  # The files' order may be that of the classes.
        order = splits.mixed_order([f"{index:012}" for index in indices]).tolist()
    names = [f"image {index} of {split}" for index in order]

    def decode(position: int) -> np.ndarray:
        index = order[position]
        data = stored[ends[index] : ends[index + 1]]
        if is_official:
            pixels = np.frombuffer(data, np.uint8).reshape(features[keys[0]].shape)
            return images.resized(pixels, options.image_size or pixels.shape[:2])
        return images.decode(data, names[position], options.image_size, options.resize)

    return Examples(names, np.array(labels, np.int32)[order], decode)


def _records(
    builder: tfds.core.DatasetBuilder, split: str, keys: list[str], is_official: bool
) -> Iterator[tuple[Any, ...]]:
    """Yields features of each record of a split, the first its image.

    TensorFlow decodes those of official sets, PNG files of one size, in a third of
    Pillow's time; others are encoded, for their size and kind must be looked at.
    """
    import tensorflow_datasets as tfds

    decoders = None if is_official else {keys[0]: tfds.decode.SkipDecoding()}
    if builder.info.file_format is tfds.core.FileFormat.ARRAY_RECORD:
        for record in builder.as_data_source(split=split, decoders=decoders):
            yield tuple(record[key] for key in keys)
        return
    # Official orders without ids are those of TFDS's default.
    cycle = {} if is_official else {"interleave_cycle_length": 1}
    stored = builder.as_dataset(
        split=split,
        shuffle_files=False,
        decoders=decoders,
        read_config=tfds.ReadConfig(**cycle),
    )
    # Other features, such as masks, may differ in size.
    used = stored.map(lambda record: tuple(record[key] for key in keys))
    for pictures, *others in tfds.as_numpy(used.batch(_BATCH)):
        yield from zip(pictures, *(one.tolist() for one in others), strict=True)
