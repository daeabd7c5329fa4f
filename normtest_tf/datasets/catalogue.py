"""What `--dataset` means: a described set, or a kind and a location."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

from normtest_tf import errors, normalization
from normtest_tf.datasets import csv_files, folders, images, loading, tfds
from normtest_tf.datasets.dataset import ImageDataset, checked
from normtest_tf.datasets.loading import ReadingOptions
from normtest_tf.normalization.statistics import PixelCounts
from normtest_tf.system import files
from normtest_tf.text import Notify, ignore, shown


@dataclasses.dataclass(frozen=True)
class DatasetDescription:
    """The facts about one data set."""

    name: str  # Its key in `DATASETS`, and its name in TFDS where TFDS has it.
    num_classes: int
    image_size: int  # Height and width of every image, in pixels.
    train_examples: int
    test_examples: int
    # What the PyTorch study normalised with; None if it did not use the data set.
    published_statistics: normalization.ChannelStatistics | None


_Channels: TypeAlias = tuple[float, float, float]  # Red, green and blue.


def _published(mean: _Channels, std: _Channels) -> normalization.ChannelStatistics:
    source = "the constants of the reference PyTorch study"
    return normalization.ChannelStatistics(mean, std, "pooled", source)


_ALL = (
    DatasetDescription(
        "cifar10",
        *(10, 32, 50_000, 10_000),
        _published((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
    ),
    DatasetDescription(
        "cifar100",
        *(100, 32, 50_000, 10_000),
        _published((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    ),
    DatasetDescription(
        "svhn_cropped",
        *(10, 32, 73_257, 26_032),
        _published((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
    ),
    DatasetDescription(
        "tiny_imagenet",
        *(200, 64, 100_000, 10_000),
        _published((0.4802, 0.4481, 0.3975), (0.2764, 0.2689, 0.2816)),
    ),
    DatasetDescription("digits", 10, 32, 1297, 500, None),
)
DATASETS: dict[str, DatasetDescription] = {entry.name: entry for entry in _ALL}

DEFAULTS = ReadingOptions()
FOLDER, CSV, TFDS = "folder", "csv", "tfds"
PATTERNS = [f"{FOLDER}:PATH", f"{CSV}:PATH", f"{TFDS}:NAME"]
# NAME, NAME/CONFIG, and perhaps :VERSION.
_TFDS_NAME = re.compile(r"[A-Za-z_]\w*(/[\w.+-]+)?(:\d+\.\d+\.\d+)?")


def parse(name: str) -> tuple[str, str]:
    """Splits `folder:PATH` into `folder` and PATH; described sets have the kind ""."""
    kind, colon, location = name.partition(":")
    if not colon or kind not in (FOLDER, CSV, TFDS):
        if name not in DATASETS:
            raise errors.unknown_name("data set", name, [*DATASETS, *PATTERNS])
        return "", name
    is_usable = _TFDS_NAME.fullmatch(location) if kind == TFDS else location.strip()
    if not is_usable:
        what = "name of TensorFlow Datasets" if kind == TFDS else "path"
        raise errors.UsageError(
            f"data set {name!r} has no {what}. Write {' or '.join(PATTERNS)}"
        )
    return kind, location


def slug(name: str) -> str:
    """Returns a data set's name as it appears in result paths.

    That is the kind and the last component of a path, or `tfds-NAME-CONFIG`.
    """
    kind, location = parse(name)
    if not kind:
        return name
    if kind == TFDS:
        return f"{kind}-" + re.sub(r"[^\w.-]+", "-", location)
    # `Path.resolve` would raise for a link that leads to itself.
    last = os.path.basename(os.path.realpath(files.expand(location))) or "root"
    if kind == CSV:
        last = last.removesuffix(".csv")
    return f"{kind}-" + re.sub(r"[^\w.-]+", "_", last)


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
    source = _find(name, options, notify)
    return loading.assemble(source, options, notify).shifted(options.shift)


def count_pixels(
    name: str, options: ReadingOptions, notify: Notify, examples: int | None = None
) -> tuple[int, Iterator[PixelCounts]]:
    """Returns the number of images to train on, and their pixels' counts, one by one.

    They may be of any sizes, and none is kept. Of data without splits they are all
    images, with a note, unless the options divide them. Errors are those of `load`.
    """
    kind, location = parse(name)
    if kind == FOLDER and not options.divides:
        options.check()
        place = files.expand(location)
        source = folders.find_without_classes(place, slug(name), options, notify)
        is_whole = folders.find_splits(place, options) is None
    else:
        source = _find(name, options, notify)
        is_whole = len(source.of_splits) == 1 and not options.divides
    if is_whole:
        notify(
            f"{shown(source.name)} has no splits: these are all of its images; runs "
            f"measure those that they train on, as --test_fraction="
            f"{loading.TEST_FRACTION} does here"
        )
    elif options.divides:
        source, _ = source.divided(options, notify)
    train = source.of_splits[0]
    number = checked("train_examples", examples, len(train.labels))
    train = train.choose(np.arange(len(train.labels)) < number)
    shift = images.parse_shift(options.shift)
    found = train.map(lambda image: PixelCounts.of_one(shift(image[None])[0]))
    return number, loading.usable(found, train, source.place)


def _find(name: str, options: ReadingOptions, notify: Notify) -> loading.Source:
    """Finds a data set's images, and refuses what can't be read."""
    options.check()
    check_available(name, options)
    kind, location = parse(name)
    if kind == TFDS:
        return tfds.find(location, slug(name), options, is_official=False)
    if kind:
        of_kind = folders if kind == FOLDER else csv_files
        return of_kind.find(files.expand(location), slug(name), options, notify)
    if name == "digits":
        return _find_digits(options)
    if name == _TINY:
        return _find_tiny_imagenet(options)
    return tfds.find(name, name, options, is_official=True)


def check_available(name: str, options: ReadingOptions = DEFAULTS) -> None:
    """Raises `UsageError` unless a name is known, and a folder or table has its splits.

    Programs call it before TensorFlow is imported, which takes seconds.
    """
    kind, location = parse(name)
    if kind == FOLDER:
        folders.find_splits(files.expand(location), options)
    elif kind == CSV:
        next(csv_files.read_rows(files.expand(location)))
    elif not kind and (options.train_split or options.test_split):
        raise errors.UsageError(
            f"--train_split and --test_split don't apply to {name}, which has its own "
            f"splits. Omit them, or write --dataset=tfds:{name}"
        )


def _find_digits(options: ReadingOptions) -> loading.Source:
    """Returns scikit-learn's 1797 digits as RGB images, in its stratified split."""
    import sklearn.datasets
    import sklearn.model_selection

    digits = sklearn.datasets.load_digits()
    labels = digits.target.astype(np.int32)
    parts = sklearn.model_selection.train_test_split(
        np.arange(len(labels)), test_size=500, random_state=0, stratify=labels
    )
    # A pixel counts the dark pixels in a 4x4 block of the scan: 0 to 16.
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    # Nearest neighbour would produce 4x4 blocks, whose edges no photograph has.
    pixels = [
        images.resized(np.repeat(image[..., np.newaxis], 3, axis=-1), 32)
        for image in grey
    ]

    def examples(part: np.ndarray) -> loading.Examples:
        def read(position: int) -> np.ndarray:
            return images.resized(pixels[part[position]], options.image_size or 32)

        return loading.Examples([f"digit {n}" for n in part], labels[part], read)

    of_splits = [examples(part) for part in parts]
    return loading.Source("digits", "0123456789", of_splits, "digits")


_TINY, _TINY_URL = "tiny_imagenet", "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
_AGAIN = "unpack the archive again"


def _find_tiny_imagenet(options: ReadingOptions) -> loading.Source:
    """Finds the unpacked images; `data_dir` contains their folder, or is it.

    The archive's `val` images become the test split, because its `test` images have
    no labels.
    """
    given = files.expand(options.data_dir or tfds.default_data_dir())
    places = [given / "tiny-imagenet-200", given]
    root = next((one for one in places if os.path.isfile(one / "wnids.txt")), None)
    if root is None:
        raise errors.UsageError(
            f"{_TINY} is not in --data_dir {given}: no {places[0].name}/wnids.txt. "
            f"Download {_TINY_URL}, unpack it, and pass the folder that contains it"
        )
    wnids = sorted(_lines(root / "wnids.txt"))
    words = {}
    if (root / "words.txt").is_file():
        lines = _lines(root / "words.txt")
        words = dict(line.split("\t", 1) for line in lines if "\t" in line)
    train: dict[str, int] = {}
    for label, wnid in enumerate(wnids):
        found = [*(root / "train" / wnid / "images").glob("*.JPEG")]
        if not found:
            raise errors.UsageError(
                f"there are no *.JPEG files in {root}/train/{wnid}/images; {_AGAIN}"
            )
        train |= {path.relative_to(root).as_posix(): label for path in found}
    annotations = root / "val" / "val_annotations.txt"
    try:
        test = {
            f"val/images/{name}": wnids.index(wnid)
            for name, wnid, *_ in (line.split("\t") for line in _lines(annotations))
        }
    except ValueError as error:
        raise errors.unreadable(annotations, error, _AGAIN) from error
    examples = loading.of_files(root, (train, test), options)
    class_names = [words.get(wnid, wnid) for wnid in wnids]
    return loading.Source(_TINY, class_names, examples, str(root))


def _lines(path: pathlib.Path) -> list[str]:
    """Returns the lines of a text file that are not blank."""
    text = files.read_text(path, _AGAIN)
    return [line.strip() for line in text.splitlines() if line.strip()]
