"""From encoded images to a data set, in memory if they fit there."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import itertools
import math
import pathlib
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from normtest_tf import errors
from normtest_tf.datasets import images, splits
from normtest_tf.datasets.dataset import ImageDataset, Images, MappedImages
from normtest_tf.system import files
from normtest_tf.text import Notify, counted, shown, size_in_words

MAX_NAMED = 10
MAX_IMAGE_SIZE = 1024
RESIZES = ("squash", "crop", "pad")
TEST_FRACTION = 0.2
_UNITS = {"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_Result = TypeVar("_Result")


@dataclasses.dataclass(frozen=True)
class ReadingOptions:
    """How to read a data set: the flags of these names; see `runs.RunConfig`."""

    data_dir: str | None = None
    image_size: int | None = None
    resize: str = "squash"
    train_split: str | None = None
    test_split: str | None = None
    test_fraction: float | None = None
    split_seed: int | None = None
    memory_budget: int | None = None  # In bytes.
    shift: str = images.NO_SHIFT

    @property
    def divides(self) -> bool:
        """Whether an option says how data without a test split are divided."""
        return self.test_fraction is not None or self.split_seed is not None

    def check(self) -> None:
        """Raises `UsageError` if a value is not allowed."""
        for name, value, limit in (
            ("image_size", self.image_size, MAX_IMAGE_SIZE + 1),
            ("test_fraction", self.test_fraction, 1),
        ):
            if value is not None and not 0 < value < limit:
                raise errors.UsageError(
                    f"--{name} must be above 0 and below {limit}. Received: {value}"
                )
        if self.resize not in RESIZES:
            raise errors.unknown_name("value of --resize", self.resize, list(RESIZES))
        images.parse_shift(self.shift)


def parse_size(text: str) -> int:
    """Returns the bytes that a size such as `4GB`, `500MB` or `1.5GiB` stands for."""
    found = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([A-Za-z]*)\s*", text)
    unit = _UNITS.get(found[2].upper()) if found else None
    size = int(float(found[1]) * unit) if found and unit else 0
    if size < 1:
        raise errors.UsageError(
            "--memory_budget takes a size such as 4GB, 500MB or 64MiB. Received: "
            f"{text[:50]!r}"
        )
    return size


@dataclasses.dataclass(frozen=True)
class Examples:
    """The images of one split, before they are decoded."""

    names: Sequence[str]  # For messages.
    labels: np.ndarray  # int32 `[n]`.
    decode: Callable[[int], np.ndarray]  # Of an index; may raise `BadImage`.

    def map(
        self, function: Callable[[np.ndarray], _Result]
    ) -> Iterator[_Result | images.BadImage]:
        """Yields what a function makes of each image, or what is wrong with it."""

        def apply(index: int) -> _Result | images.BadImage:
            try:
                return function(self.decode(index))
            except images.BadImage as error:
                return error

        return images.map_in_threads(apply, range(len(self.labels)))

    def choose(self, mask: np.ndarray) -> Examples:
        """Returns some of the examples, bool `[n]`."""
        chosen = np.flatnonzero(mask).tolist()
        return Examples(
            [self.names[index] for index in chosen],
            self.labels[mask],
            lambda position: self.decode(chosen[position]),
        )


def of_files(
    folder: pathlib.Path,
    of_splits: Iterable[Mapping[str, int]],
    options: ReadingOptions,
) -> list[Examples]:
    """Returns files in mixed order, from their labels by path within a folder."""

    def examples(labels: Mapping[str, int]) -> Examples:
        unmixed = list(labels)
        names = [unmixed[index] for index in splits.mixed_order(unmixed)]
        return Examples(
            names,
            np.array([labels[name] for name in names], np.int32),
            lambda index: images.decode_file(
                folder / names[index], options.image_size, options.resize
            ),
        )

    return list(map(examples, of_splits))


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set before its images are decoded."""

    name: str
    class_names: Sequence[str]
    of_splits: Sequence[Examples]  # To train on and to test on; or all in one.
    place: str  # Where the images are, for messages.

    def divided(
        self, options: ReadingOptions, notify: Notify
    ) -> tuple[Source, str | None]:
        """Divides what has one split; says how, None if it had two."""
        if len(self.of_splits) > 1:
            if options.divides:
                notify(
                    f"{shown(self.name)} has a test split, so --test_fraction and "
                    "--split_seed change nothing"
                )
            return self, None
        fraction, seed = options.test_fraction or TEST_FRACTION, options.split_seed or 0
        (all_of,) = self.of_splits
        chosen = splits.choose_test(all_of.labels, self.class_names, fraction, seed)
        parts = [all_of.choose(~chosen), all_of.choose(chosen)]
        division = f"{fraction:.4g} of each class for testing, drawn with seed {seed}"
        return dataclasses.replace(self, of_splits=parts), division


def assemble(source: Source, options: ReadingOptions, notify: Notify) -> ImageDataset:
    """Decodes every image once, into memory or into a file.

    Without a second split to test on, the first is divided. All images that can't be
    used are reported together.
    """
    name, place = shown(source.name), shown(source.place)
    class_names = source.class_names
    if len(class_names) < 2:
        raise errors.UsageError(
            f"{place} has only one class, {shown(class_names[0])!r}. At least two are "
            "needed"
        )
    source, division = source.divided(options, notify)
    train, test = source.of_splits
    _check_classes(place, class_names, train.labels, test.labels)
    reader = _Reader(source.of_splits, options)
    train_images, test_images = reader.read(train), reader.read(test)
    reader.check(place)
    for note in (*_notes_on_classes(class_names), *_notes_on_copies(source, reader)):
        notify(f"{name}: {note}")
    if reader.excess:
        where = f"they are kept in a temporary file in {tempfile.gettempdir()}"
        notify(f"{name}: {reader.excess}; {where}")
    return ImageDataset(
        name,
        train_images,
        train.labels,
        test_images,
        test.labels,
        tuple(class_names),
        division,
    )


def alike(class_names: Iterable[str]) -> str:
    """Names the classes that differ only in what people overlook; "" if none do."""
    first: dict[str, str] = {}
    pairs = []
    for name in class_names:
        text = unicodedata.normalize("NFKC", name).casefold().strip()
        # Zeros before a number, or behind its decimal point.
        key = re.sub(r"(?<![\d.])0+(?=\d)|\.0+$", "", text)
        if (other := first.setdefault(key, name)) != name:
            pairs.append(f"{other!a} and {name!a}")
    return f"only case, zeros or Unicode forms tell {_first(pairs)} apart" * bool(pairs)


def _notes_on_classes(class_names: Sequence[str]) -> Iterator[str]:
    if pairs := alike(class_names):
        yield f"{pairs}. If they are one class, give it one name"
    if "nan" in class_names:
        yield "a class is called nan, as missing labels are in tables"


def _notes_on_copies(source: Source, reader: _Reader) -> Iterator[str]:
    """Says which images are in both splits, and which are in several classes."""
    train, test = source.of_splits
    names, labels = [*train.names, *test.names], [*train.labels, *test.labels]
    pairs = list(zip(reader.hashes, labels, strict=True))
    known = set(pairs[: len(train.labels)])
    if shared := sum(pair in known for pair in pairs[len(train.labels) :]):
        yield (
            f"{shared} of {counted(len(test.labels), 'test image')} "
            f"{'is' if shared == 1 else 'are'} among the training images as well: the "
            "test accuracy measures memory in part"
        )
    first: dict[bytes, int] = {}
    others = {
        digest: index
        for index, (digest, label) in enumerate(pairs)
        if labels[first.setdefault(digest, index)] != label
    }
    for digest, index in itertools.islice(others.items(), 1):
        both = " and ".join(
            f"{shown(names[i])} ({shown(source.class_names[labels[i]])})"
            for i in (first[digest], index)
        )
        yield f"{counted(len(others), 'picture')} in several classes, such as {both}"


def _check_classes(
    place: str, class_names: Sequence[str], train: np.ndarray, test: np.ndarray
) -> None:
    """Raises `UsageError` if there are classes to test on but not to train on."""
    if missing := np.setdiff1d(test, train).tolist():
        names = shown(", ".join(class_names[label] for label in missing[:MAX_NAMED]))
        number = int(np.isin(test, missing).sum())
        raise errors.UsageError(
            f"{place}: {counted(number, 'test image')} have classes without a training "
            f"image: {names}. Every class needs images to train on"
        )


class _Reader:
    """Decodes splits, and collects what is wrong with their images."""

    def __init__(self, of_splits: Sequence[Examples], options: ReadingOptions) -> None:
        self.hashes: list[bytes] = []  # Of all images, if `check` finds nothing.
        self._bad: dict[str, str] = {}
        # Names of images by height and width.
        self._sizes: dict[tuple[int, ...], list[str]] = collections.defaultdict(list)
        side = options.image_size or 1
        self._shape: tuple[int, ...] = (side, side, 3)
        if not options.image_size:  # That of the first image that can be decoded.
            found = (shape for one in of_splits for shape in one.map(np.shape))
            shapes = (shape for shape in found if isinstance(shape, tuple))
            self._shape = next(shapes, self._shape)
        number = sum(len(one.labels) for one in of_splits)
        self.excess = self._check_room(number, options.memory_budget)

    def _check_room(self, number: int, budget: int | None) -> str:
        """Says how much images take, if they don't fit into memory; else ""."""
        size = number * math.prod(self._shape)
        if size <= (files.free_memory() // 4 if budget is None else budget):
            return ""
        height, width, _ = self._shape
        excess = (
            f"{counted(number, 'image')} of {width}x{height} take "
            f"{size_in_words(size)}, more than the memory budget "
            "(--memory_budget)"
        )
        folder = tempfile.gettempdir()
        if size > (free := shutil.disk_usage(folder).free):
            raise errors.UsageError(
                f"{excess}, and {folder} has only {size_in_words(free)} free. "
                "Set the environment variable TMPDIR to a folder with more, or pass a "
                "smaller --image_size"
            )
        return excess

    def read(self, examples: Examples) -> Images:
        """Returns a split's images, incomplete if `check` raises."""
        shape = (len(examples.labels), *self._shape)
        if not self.excess:
            kept = np.empty(shape, np.uint8)
            for index, image in self._good(examples):
                kept[index] = image
            return kept
        try:
            # It has no name, so that it goes with the process, however that ends.
            with tempfile.TemporaryFile() as file:
                for _, image in self._good(examples):
                    file.write(image.data)
                file.truncate(math.prod(shape))
                pixels = np.memmap(file, np.uint8, "r", shape=shape)
        except OSError as error:
            folder = pathlib.Path(tempfile.gettempdir())
            raise errors.unwritable(folder, error) from error
        return MappedImages(pixels.view(np.ndarray), np.arange(shape[0]))

    def _good(self, examples: Examples) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the images that can be used, contiguous, with their indices."""

        def usable(image: np.ndarray) -> tuple[tuple[int, ...], np.ndarray | None]:
            height, width = image.shape[:2]  # Photographs may take gigabytes.
            is_usable = image.shape == self._shape and height == width
            return (height, width), np.ascontiguousarray(image) if is_usable else None

        for index, found in enumerate(examples.map(usable)):
            name = examples.names[index]
            if isinstance(found, images.BadImage):
                self._bad[name] = found.args[1]
                continue
            size, image = found
            self._sizes[size].append(name)
            if image is not None:
                self.hashes.append(hashlib.blake2b(image.data, digest_size=16).digest())
                yield index, image

    def check(self, place: str) -> None:
        """Raises one `UsageError` about all images that can't be used, if any."""
        total = len(self._bad) + sum(map(len, self._sizes.values()))
        check_bad(self._bad, total, place)
        height, width, _ = self._shape
        if len(self._sizes) == 1 and height == width:
            return
        listed = [
            f"{width}x{height} ({len(names)}, such as {shown(names[0])})"
            for (height, width), names in sorted(
                self._sizes.items(), key=lambda size: -len(size[1])
            )
        ]
        what = "have several sizes" if len(listed) > 1 else "are not square"
        raise errors.UsageError(
            f"the images of {place} {what}: {_first(listed)}. Pass --image_size to "
            "make them squares of one size, and --resize to say how"
        )


def check_bad(bad: Mapping[str, str], total: int, place: str) -> None:
    """Raises `UsageError` about images by name that can't be used, if any."""
    if bad:
        listed = [f"{shown(name)} ({bad[name]})" for name in sorted(bad)]
        raise errors.UsageError(
            f"{len(listed)} of {total} images in {place} can't be used: "
            f"{_first(listed)}. Repair or remove them"
        )


def usable(
    found: Iterable[_Result | images.BadImage], examples: Examples, place: str
) -> Iterator[_Result]:
    """Yields what is no bad image, and at the end raises about those that are."""
    bad = {}
    for name, one in zip(examples.names, found, strict=True):
        if isinstance(one, images.BadImage):
            bad[name] = one.args[1]
        else:
            yield one
    check_bad(bad, len(examples.names), place)


def _first(listed: list[str]) -> str:
    more = len(listed) - MAX_NAMED
    return ", ".join(listed[:MAX_NAMED]) + (f", and {more} more" if more > 0 else "")
