"""From encoded images to a data set, in memory if they fit there."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from normtest_tf import errors
from normtest_tf.datasets import images, shifts, splits
from normtest_tf.datasets.dataset import ImageDataset, Images, MappedImages
from normtest_tf.system import workers
from normtest_tf.text import Notify, counted, shown

MAX_NAMED = 10
MAX_IMAGE_SIZE = 1024
RESIZES = ("squash", "crop", "pad")
TEST_FRACTION = 0.2


@dataclasses.dataclass(frozen=True)
class ReadingOptions:
    """How to read a data set.

    Attributes:
        data_dir: The folder where TFDS keeps prepared data, or where the Tiny ImageNet
            archive was unpacked; None for TFDS's default. Folders and CSV files ignore
            it.
        image_size: Height and width in pixels to which images are resized; None to
            keep their own size, which must be the same square for all of them.
        resize: How an image that is no square becomes one: `squash` changes its
            proportions, `crop` takes the centre, `pad` adds black borders.
        train_split: What to train on: a split of TFDS, perhaps a slice of one, a folder
            next to the others, or a value in the column `split`; None for `train`.
        test_split: What to test on; None for `test`, or one of the other usual names.
        test_fraction: The share of each class to test on, of data without a test split;
            None for `TEST_FRACTION`.
        split_seed: Decides which images these are; None for 0.
        memory_budget: How many bytes of decoded images to keep in memory; more are kept
            in a temporary file. None for half of the memory that is free.
        shift: What is done to all images; see `shifts`.
    """

    data_dir: str | None = None
    image_size: int | None = None
    resize: str = "squash"
    train_split: str | None = None
    test_split: str | None = None
    test_fraction: float | None = None
    split_seed: int | None = None
    memory_budget: int | None = None
    shift: str = shifts.NONE

    @classmethod
    def among(
        cls,
        values: Mapping[str, Any],
        **others: Any,  # noqa: ANN401  (any option)
    ) -> ReadingOptions:
        """Takes the options that are among values and not None; others come first."""
        names = (field.name for field in dataclasses.fields(cls))
        given = {name: values.get(name) for name in names} | others
        return cls(**{name: one for name, one in given.items() if one is not None})

    def check(self) -> None:
        """Raises `UsageError` if a value is not allowed."""
        if self.image_size is not None and not 1 <= self.image_size <= MAX_IMAGE_SIZE:
            raise errors.UsageError(
                f"--image_size must be from 1 to {MAX_IMAGE_SIZE}. "
                f"Received: {self.image_size}"
            )
        if self.resize not in RESIZES:
            raise errors.unknown_name("value of --resize", self.resize, list(RESIZES))
        shifts.parse(self.shift)
        if self.test_fraction is not None and not 0 < self.test_fraction < 1:
            raise errors.UsageError(
                "--test_fraction must be above 0 and below 1. "
                f"Received: {self.test_fraction}"
            )


@dataclasses.dataclass(frozen=True)
class Examples:
    """The images of one split, before they are decoded."""

    names: Sequence[str]  # For messages.
    labels: np.ndarray  # int32 `[n]`.
    decode: Callable[[int], np.ndarray]  # Of an index; may raise `BadImage`.

    def __len__(self) -> int:
        return len(self.labels)

    def decoded(self, index: int) -> np.ndarray | images.BadImage:
        """Returns an image, or what is wrong with it."""
        try:
            return self.decode(index)
        except images.BadImage as error:
            return error

    def choose(self, indices: np.ndarray) -> Examples:
        """Returns some of the examples, in the order of the indices, int `[n]`."""
        chosen = indices.tolist()
        return Examples(
            [self.names[index] for index in chosen],
            self.labels[indices],
            lambda position: self.decode(chosen[position]),
        )


def of_files(
    folder: pathlib.Path, labels: Mapping[str, int], options: ReadingOptions
) -> Examples:
    """Returns files as examples in mixed order, from labels by path within a folder."""
    names = list(labels)
    names = [names[index] for index in splits.mixed_order(names)]
    return Examples(
        names,
        np.array([labels[name] for name in names], np.int32),
        lambda index: images.decode_file(
            folder / names[index], options.image_size, options.resize
        ),
    )


def assemble(
    name: str,
    class_names: Sequence[str],
    train: Examples,
    test: Examples | None,
    options: ReadingOptions,
    notify: Notify,
    place: str,
) -> ImageDataset:
    """Decodes every image once, into memory or into a file.

    Without images to test on, some of those to train on are taken. `place` is where
    the images are, for messages. All that can't be used are reported together.
    """
    if len(class_names) < 2:
        raise errors.UsageError(
            f"{shown(place)} has only one class, {shown(class_names[0])!r}. At least "
            "two are needed"
        )
    division = None
    if test is None:
        train, test, division = _divide(train, class_names, options)
    else:
        note_own_splits(name, options, notify)
    _check_classes(place, class_names, train.labels, test.labels)
    reader = _Reader(place, _shape(options, train, test))
    is_kept = reader.fits(len(train) + len(test), options.memory_budget)
    train_images, train_hashes = reader.read(train, is_kept=is_kept)
    test_images, test_hashes = reader.read(test, is_kept=is_kept)
    reader.check()
    known = set(train_hashes)
    if shared := sum(one in known for one in test_hashes):
        notify(
            f"{shown(name)}: {shared} of {counted(len(test), 'test image')} "
            f"{'is' if shared == 1 else 'are'} among the training images as well: the "
            "test accuracy measures memory in part"
        )
    if not is_kept:
        notify(
            f"{shown(name)}: {reader.size_in_words(len(train) + len(test))}, more than "
            "the memory budget (--memory_budget); they are kept in a temporary file in "
            f"{tempfile.gettempdir()}"
        )
    return ImageDataset(
        name,
        train_images,
        train.labels,
        test_images,
        test.labels,
        tuple(class_names),
        division,
    )


def note_own_splits(name: str, options: ReadingOptions, notify: Notify) -> None:
    """Notes that options which divide a data set have no effect on its splits."""
    if options.test_fraction or options.split_seed is not None:
        notify(
            f"{shown(name)} has a test split, so --test_fraction and --split_seed "
            "change nothing"
        )


def _divide(
    examples: Examples, class_names: Sequence[str], options: ReadingOptions
) -> tuple[Examples, Examples, str]:
    """Returns what to train on, what to test on, and how they were chosen."""
    fraction = options.test_fraction or TEST_FRACTION
    seed = options.split_seed or 0
    chosen = splits.choose_test(examples.labels, class_names, fraction, seed)
    how = f"{fraction:.4g} of each class for testing, drawn with seed {seed}"
    train, test = (np.flatnonzero(mask) for mask in (~chosen, chosen))
    return examples.choose(train), examples.choose(test), how


def _check_classes(
    place: str, class_names: Sequence[str], train: np.ndarray, test: np.ndarray
) -> None:
    """Raises `UsageError` if there are classes to test on but not to train on."""
    if missing := sorted(set(test.tolist()) - set(train.tolist())):
        names = shown(", ".join(class_names[label] for label in missing[:MAX_NAMED]))
        number = int(np.isin(test, missing).sum())
        raise errors.UsageError(
            f"{shown(place)}: {counted(number, 'test image')} have classes without a "
            f"training image: {names}. Every class needs images to train on"
        )


def _shape(options: ReadingOptions, *of_splits: Examples) -> tuple[int, int, int]:
    """Returns the shape that images should have: of the first that can be decoded."""
    if size := options.image_size:
        return size, size, 3
    for examples in of_splits:
        for index in range(len(examples)):
            (image,) = images.map_in_threads(examples.decoded, [index])
            if isinstance(image, np.ndarray):
                height, width, _ = image.shape
                return height, width, 3
    return 1, 1, 3  # All are bad, and `_Reader.check` will say so.


class _Reader:
    """Decodes splits, and collects what is wrong with their images."""

    def __init__(self, place: str, shape: tuple[int, int, int]) -> None:
        self._place = place
        self._shape = shape
        self._bytes = int(np.prod(shape))
        self._bad: dict[str, str] = {}
        self._first_of_size: dict[tuple[int, int], str] = {}
        self._sizes: collections.Counter[tuple[int, int]] = collections.Counter()

    def fits(self, examples: int, budget: int | None) -> bool:
        """Tells whether images fit into memory, or checks that they do on the disk."""
        size = examples * self._bytes
        if size <= (workers.free_memory() // 2 if budget is None else budget):
            return True
        folder = tempfile.gettempdir()
        if size > (free := shutil.disk_usage(folder).free):
            raise errors.UsageError(
                f"{self.size_in_words(examples)}, more than the memory budget, and "
                f"{folder} has only {workers.size_in_words(free)} free. Set the "
                "environment variable TMPDIR to a folder with more, or pass a smaller "
                "--image_size"
            )
        return False

    def size_in_words(self, examples: int) -> str:
        """Says how much images take."""
        height, width, _ = self._shape
        size = workers.size_in_words(examples * self._bytes)
        return f"{counted(examples, 'image')} of {width}x{height} take {size}"

    def read(self, examples: Examples, *, is_kept: bool) -> tuple[Images, list[bytes]]:
        """Returns a split's images and a hash of each, incomplete if `check` raises."""
        shape = (len(examples), *self._shape)
        hashes: list[bytes] = []
        if is_kept:
            kept = np.empty(shape, np.uint8)
            for index, image in self._good(examples):
                kept[index] = image
                hashes.append(hashlib.blake2b(image.data, digest_size=16).digest())
            return kept, hashes
        try:
            # It has no name, so that it goes with the process, however that ends.
            with tempfile.TemporaryFile() as file:
                for _, image in self._good(examples):
                    file.write(image.data)
                    hashes.append(hashlib.blake2b(image.data, digest_size=16).digest())
                file.truncate(len(examples) * self._bytes)
                pixels = np.memmap(file, np.uint8, "r", shape=shape)
        except OSError as error:
            raise errors.unwritable(
                pathlib.Path(tempfile.gettempdir()), error
            ) from error
        return MappedImages(pixels.view(np.ndarray), np.arange(len(examples))), hashes

    def _good(self, examples: Examples) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the images that can be used, contiguous, with their indices."""
        decoded = images.map_in_threads(examples.decoded, range(len(examples)))
        for index, image in enumerate(decoded):
            name = examples.names[index]
            if isinstance(image, images.BadImage):
                self._bad[name] = image.problem
                continue
            height, width, _ = image.shape
            self._sizes[height, width] += 1
            self._first_of_size.setdefault((height, width), name)
            if image.shape == self._shape:
                yield index, np.ascontiguousarray(image)

    def check(self) -> None:
        """Raises one `UsageError` about all images that can't be used, if any."""
        if self._bad:
            listed = [
                f"{shown(name)} ({self._bad[name]})"
                for name in sorted(self._bad)[:MAX_NAMED]
            ]
            raise errors.UsageError(
                f"{len(self._bad)} of {self._sizes.total() + len(self._bad)} images in "
                f"{shown(self._place)} can't be used: {_listed(listed, len(self._bad))}"
                ". Repair or remove them"
            )
        height, width, _ = self._shape
        if len(self._sizes) == 1 and height == width:
            return
        listed = [
            f"{width}x{height} ({number}, such as "
            f"{shown(self._first_of_size[height, width])})"
            for (height, width), number in self._sizes.most_common(MAX_NAMED)
        ]
        what = "have several sizes" if len(self._sizes) > 1 else "are not square"
        raise errors.UsageError(
            f"the images of {shown(self._place)} {what}: "
            f"{_listed(listed, len(self._sizes))}. Pass --image_size to make them "
            "squares of one size, and --resize to say how"
        )


def _listed(first: list[str], count: int) -> str:
    more = f", and {count - len(first)} more" if count > len(first) else ""
    return ", ".join(first) + more
