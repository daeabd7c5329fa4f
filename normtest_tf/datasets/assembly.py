"""From encoded images to a data set, in memory if they fit there."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import re
from collections.abc import Callable, Sequence

import numpy as np

from normtest_tf import errors
from normtest_tf.datasets import decoding, division
from normtest_tf.datasets.image_dataset import Digest, ImageDataset, Images
from normtest_tf.datasets.options import TEST_FRACTION, ReadingOptions
from normtest_tf.datasets.streamed import StreamedImages
from normtest_tf.normalization import statistics
from normtest_tf.system import memory
from normtest_tf.text import Notify, counted, ignore, shown

MAX_NAMED = 10


@dataclasses.dataclass(frozen=True)
class Examples:
    """The images of one split, before they are decoded.

    Attributes:
        names: What messages call them, `[n]`.
        labels: int32 `[n]`.
        decode: Returns the image of an index, uint8 `[height, width, 3]`, or raises
            `BadImage`.
    """

    names: Sequence[str]
    labels: np.ndarray
    decode: Callable[[int], np.ndarray]

    def __len__(self) -> int:
        return len(self.labels)

    def choose(self, indices: np.ndarray) -> Examples:
        """Returns some of the examples, in the order of the indices, int `[n]`."""
        chosen = indices.tolist()
        return Examples(
            [self.names[index] for index in chosen],
            self.labels[indices],
            lambda position: self.decode(chosen[position]),
        )


def assemble(
    name: str,
    class_names: Sequence[str],
    train: Examples,
    test: Examples,
    options: ReadingOptions,
    notify: Notify = ignore,
    *,
    place: str = "",
    division: str | None = None,
) -> ImageDataset:
    """Decodes every image once; keeps them if the memory budget allows it.

    That tells all bad images at once, and gives the fingerprint and the channel
    statistics of images that don't fit.

    Args:
        name: The data set's name.
        class_names: One name per class.
        train: The images to train on.
        test: The images to test on.
        options: Image size and memory budget.
        notify: Called with notes on images in both splits, and if there are too many
            images to keep.
        place: Where the images are, for messages.
        division: How the splits were made, if the data had none.

    Returns:
        The data set.

    Raises:
        UsageError: If images can't be used (the first `MAX_NAMED` are named) or have
            several sizes and none was asked for, or if the budget holds no batch.
    """
    _check_classes(place or name, class_names, train.labels, test.labels)
    if division is None and (options.test_fraction or options.split_seed is not None):
        notify(
            f"{shown(name)} has a test split, so --test_fraction and --split_seed "
            "change nothing"
        )
    reader = _Reader(place or name)
    shape = reader.find_shape(train, test)
    total, image_bytes = len(train) + len(test), int(np.prod(shape))
    batch = min(options.batch_size, max(len(train), len(test)))
    keep = options.fits(total, batch, image_bytes)
    digest = Digest(class_names)
    train_images = reader.read(train, shape, digest, keep=keep)
    test_images = reader.read(test, shape, digest, keep=keep)
    reader.check()
    if shared := reader.shared_images():
        notify(
            f"{shown(name)}: {shared} of {counted(len(test), 'test image')} "
            f"{'is' if shared == 1 else 'are'} among the training images as well, so "
            "that tests show in part what was learned by heart"
        )
    if not keep:
        notify(
            f"{shown(name)}: {counted(total, 'image')} of {shape[1]}x{shape[0]} would "
            f"take {memory.in_words(total * image_bytes)} of memory, which is over the "
            "budget; they are decoded again in every epoch (--memory_budget)"
        )
    return ImageDataset(
        name,
        train_images,
        train.labels,
        test_images,
        test.labels,
        tuple(class_names),
        division=division,
        digest=digest.hexdigest(),
    )


def check_number(place: str, class_names: Sequence[str]) -> None:
    """Raises `UsageError` if there are fewer than two classes.

    Args:
        place: Where the images are, for the message.
        class_names: One name per class.
    """
    if len(class_names) < 2:
        raise errors.UsageError(
            f"{shown(place)} has only one class, {shown(class_names[0])!r}. At least "
            "two are needed"
        )


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


class _Reader:
    """Decodes splits, and collects what is wrong with their images."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._bad: dict[str, decoding.BadImage] = {}
        self._sizes: collections.Counter[tuple[int, int]] = collections.Counter()
        self._first_of_size: dict[tuple[int, int], str] = {}
        self._hashes: list[list[bytes]] = []

    def find_shape(self, *splits: Examples) -> tuple[int, int, int]:
        """Returns the shape of the first image that can be decoded."""
        for examples in splits:
            for index in range(len(examples)):
                image = _decode(examples, index)
                if isinstance(image, np.ndarray):
                    height, width, _ = image.shape
                    return height, width, 3
        return 1, 1, 3  # All are bad, and `check` will say so.

    def read(
        self,
        examples: Examples,
        shape: tuple[int, int, int],
        digest: Digest,
        *,
        keep: bool,
    ) -> Images:
        """Decodes one split.

        Args:
            examples: The split.
            shape: What every image should have.
            digest: Gets the images and labels.
            keep: Whether decoded images stay in memory.

        Returns:
            The images; incomplete if something is wrong with any: see `check`.
        """
        count = len(examples)
        kept = np.empty([count if keep else 0, *shape], np.uint8)
        counts = np.zeros([3, 256], np.int64)
        hashes: list[bytes] = []
        digest.begin_split((count, *shape))
        decoded = decoding.map_in_threads(
            lambda index: _decode(examples, index), range(count)
        )
        for index, image in enumerate(decoded):
            if isinstance(image, decoding.BadImage):
                self._bad[examples.names[index]] = image
                continue
            self._add_size(image, examples.names[index])
            if image.shape != shape:
                continue
            digest.add(image)
            hashes.append(hashlib.blake2b(image.data, digest_size=16).digest())
            if keep:
                kept[index] = image
            else:
                counts += statistics.channel_counts(image[np.newaxis])
        digest.end_split(examples.labels)
        self._hashes.append(hashes)
        if keep:
            return kept
        return StreamedImages(examples.decode, np.arange(count), shape, counts)

    def check(self) -> None:
        """Raises one `UsageError` about all images that can't be used, if any."""
        if self._bad:
            self._refuse_bad()
        sizes = list(self._sizes)
        if len(sizes) == 1 and sizes[0][0] == sizes[0][1]:
            return
        found = [
            f"{width}x{height} ({number}, such as "
            f"{shown(self._first_of_size[height, width])})"
            for (height, width), number in self._sizes.most_common(MAX_NAMED)
        ]
        if len(sizes) > MAX_NAMED:
            found.append(f"and {len(sizes) - MAX_NAMED} more")
        what = "have several sizes" if len(sizes) > 1 else "are not square"
        raise errors.UsageError(
            f"the images of {shown(self._place)} {what}: {', '.join(found)}. Pass "
            "--image_size to make them squares of one size, and --resize to say how"
        )

    def shared_images(self) -> int:
        """Returns how many test images are training images as well."""
        train, test = self._hashes
        known = set(train)
        return sum(one in known for one in test)

    def _refuse_bad(self) -> None:
        names = sorted(self._bad, key=_natural)
        if len(names) == 1:
            raise self._bad[names[0]]
        first = names[:MAX_NAMED]
        reasons = [f"{shown(name)} {self._bad[name].problem}" for name in first]
        if len(names) > MAX_NAMED:
            reasons.append(f"and {len(names) - MAX_NAMED} more")
        count = self._sizes.total() + len(names)
        raise errors.UsageError(
            f"{len(names)} of {count} images in {shown(self._place)} can't be used: "
            f"{'; '.join(reasons)}. Repair or remove them"
        )

    def _add_size(self, image: np.ndarray, name: str) -> None:
        height, width, _ = image.shape
        self._sizes[height, width] += 1
        self._first_of_size.setdefault((height, width), name)


def _natural(name: str) -> list[tuple[int, str]]:
    """Returns a key that sorts numbers in names by their values."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _decode(examples: Examples, index: int) -> np.ndarray | decoding.BadImage:
    try:
        return examples.decode(index)
    except decoding.BadImage as error:
        return error


def divide(
    examples: Examples, class_names: Sequence[str], options: ReadingOptions
) -> tuple[Examples, Examples, str]:
    """Divides examples without splits, stratified by class.

    Args:
        examples: All of them.
        class_names: One name per class.
        options: Share of the test images, and seed.

    Returns:
        The examples to train on and to test on, in unchanged order, and a phrase that
        says how they were chosen.

    Raises:
        UsageError: If a class has a single example.
    """
    fraction = options.test_fraction or TEST_FRACTION
    seed = options.split_seed or 0
    chosen = division.choose_test(examples.labels, class_names, fraction, seed)
    how = f"{fraction:.4g} of each class for testing, drawn with seed {seed}"
    train, test = (np.flatnonzero(mask) for mask in (~chosen, chosen))
    return examples.choose(train), examples.choose(test), how
