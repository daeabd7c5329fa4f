"""A data set: its images and labels, their fingerprint, and subsets."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from normtest_tf import errors
from normtest_tf.datasets.images import BLOCK, NO_SHIFT, parse_shift
from normtest_tf.text import shown


@dataclasses.dataclass(frozen=True, eq=False)
class MappedImages:
    """Images in a file, used like an array, uint8 `[n, height, width, 3]`.

    Subsets copy no images: they are read when they are needed.
    """

    pixels: np.ndarray  # All images of the file, a memory map.
    indices: np.ndarray  # int64 `[n]`, which of them these are, in order.
    # Applied to images, one after another, when they are read.
    changes: tuple[Callable[[np.ndarray], np.ndarray], ...] = ()

    @property
    def dtype(self) -> np.dtype:
        """Always uint8."""
        return self.pixels.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of images, height, width and 3."""
        return (len(self.indices), *self.pixels.shape[1:])

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, chosen: slice | np.ndarray) -> MappedImages:
        return dataclasses.replace(self, indices=self.indices[chosen])

    def __array__(
        self, dtype: np.dtype | None = None, copy: bool | None = None
    ) -> np.ndarray:
        return self.read(np.arange(len(self))).astype(dtype or self.dtype, copy=False)

    def read(self, positions: np.ndarray) -> np.ndarray:
        """Reads a batch: the images at positions, int `[b]`, from 0 to n - 1."""
        batch = self.pixels[self.indices[positions]]
        for change in self.changes:
            batch = change(batch)
        return batch


# uint8 `[n, height, width, 3]`, in memory or in a file.
Images: TypeAlias = np.ndarray | MappedImages


@dataclasses.dataclass(frozen=True, eq=False)
class ImageDataset:
    """Labelled RGB images in two splits.

    Attributes:
        name: A name that can be used for a folder: `cifar10`, `folder-flowers`.
        train_images: uint8 `[n, height, width, 3]`: an array, or `MappedImages` if
            they don't fit into memory.
        train_labels: int32 `[n]`, indices into `class_names`.
        test_images: uint8 `[m, height, width, 3]`, likewise.
        test_labels: int32 `[m]`.
        class_names: One name per class.
        division: How the splits were made, if the data came without; else None.

    Raises:
        ValueError: If dtypes, shapes or labels are inconsistent.
    """

    name: str
    train_images: Images
    train_labels: np.ndarray
    test_images: Images
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    division: str | None = None
    # From `take`, so that each is digested only once.
    _subsets: dict[tuple[int | None, ...], ImageDataset] = dataclasses.field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        for images, labels in self._splits():
            if (
                images.dtype != np.uint8
                or labels.dtype != np.int32
                or images.shape != (*labels.shape, *self.image_shape)
                or not np.all((labels >= 0) & (labels < self.num_classes))
            ):
                raise ValueError(
                    f"images must be uint8 [n, *{self.image_shape}], and labels int32 "
                    f"[n] below {self.num_classes}. Received: {images.dtype} "
                    f"{images.shape}, and {labels.dtype} {labels.shape}: {labels}"
                )

    @property
    def num_classes(self) -> int:
        """Number of classes, including any without images."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and 3 channels."""
        _, height, width, _ = self.train_images.shape
        return height, width, 3

    def fingerprint(self) -> str:
        """Returns the SHA-256 of all pixels, labels and class names, in hexadecimal.

        It depends on the data and their order only, not on the data set's name, the
        machine or the files the data were read from. It is computed once.
        """
        return self._fingerprint

    @functools.cached_property
    def _fingerprint(self) -> str:
        sha256 = hashlib.sha256(json.dumps(list(self.class_names)).encode())
        for images, labels in self._splits():
            sha256.update(json.dumps(images.shape).encode())
            for start in range(0, len(images), BLOCK):
                block = np.asarray(images[start : start + BLOCK])
                sha256.update(np.ascontiguousarray(block).data)
            sha256.update(np.ascontiguousarray(labels, dtype="<i4").data)
        return sha256.hexdigest()

    def take(
        self,
        train_examples: int | None = None,
        test_examples: int | None = None,
        examples_per_class: int | None = None,
        seed: int | None = None,
    ) -> ImageDataset:
        """Returns some images of each split, in the set's order.

        Args:
            train_examples: Number of training images; None for all.
            test_examples: Number of test images; None for all.
            examples_per_class: Of the training images that remain, so many of each
                class; None for all.
            seed: Takes the first images in a random order of each split, which it
                decides. None for the set's order.

        Returns:
            A data set with the same name and classes. Without a seed, it shares memory
            with this one.

        Raises:
            UsageError: If a number is below 1 or exceeds the images available, of a
                class or in all.
        """
        train = checked("train_examples", train_examples, len(self.train_labels))
        test = checked("test_examples", test_examples, len(self.test_labels))
        key = (train, test, examples_per_class, seed)
        if key[:3] == (len(self.train_labels), len(self.test_labels), None):
            return self
        if key not in self._subsets:
            ordered = examples_per_class is not None
            chosen = _first(train, len(self.train_labels), seed, ordered=ordered)
            if examples_per_class is not None:
                chosen = self._first_of_each_class(chosen, examples_per_class)
            tested = _first(test, len(self.test_labels), seed)
            self._subsets.clear()  # A sweep may have many seeds.
            self._subsets[key] = dataclasses.replace(
                self,
                train_images=self.train_images[_in_order(chosen)],
                train_labels=self.train_labels[_in_order(chosen)],
                test_images=self.test_images[_in_order(tested)],
                test_labels=self.test_labels[_in_order(tested)],
            )
        return self._subsets[key]

    def shifted(self, shift: str) -> ImageDataset:
        """Returns the set with all of its images changed as `--shift` says."""
        change = parse_shift(shift)
        if change.kind == NO_SHIFT:
            return self
        train, test = (
            change(images)
            if isinstance(images, np.ndarray)
            else dataclasses.replace(images, changes=(*images.changes, change))
            for images, _ in self._splits()
        )
        return dataclasses.replace(self, train_images=train, test_images=test)

    def _first_of_each_class(
        self, among: slice | np.ndarray, per_class: int
    ) -> np.ndarray:
        """Returns the first of each class among some training images, int64."""
        labels = self.train_labels[among]
        counts = np.bincount(labels, minlength=self.num_classes)
        fewest = f"that class {shown(self.class_names[counts.argmin()])!r} has"
        checked("examples_per_class", per_class, int(counts.min()), fewest)
        places = [
            np.flatnonzero(labels == label)[:per_class] for label in range(len(counts))
        ]
        return np.arange(len(self.train_labels))[among][np.concatenate(places)]

    def _splits(self) -> list[tuple[Images, np.ndarray]]:
        return [
            (self.train_images, self.train_labels),
            (self.test_images, self.test_labels),
        ]


def _first(
    count: int, there: int, seed: int | None, *, ordered: bool = False
) -> slice | np.ndarray:
    """Returns the first places in a split, in its order or in a random one.

    All of them are drawn only if the order matters.
    """
    if seed is None or (count == there and not ordered):
        return slice(count)
    # NumPy guarantees the legacy generator's stream for ever.
    return np.random.RandomState(seed).permutation(there)[:count]


def _in_order(places: slice | np.ndarray) -> slice | np.ndarray:
    return places if isinstance(places, slice) else np.sort(places)


def checked(name: str, count: int | None, there: int, those: str = "available") -> int:
    """Returns a number of images to take, by default all."""
    if count is None:
        return there
    if not 1 <= count <= there:
        raise errors.UsageError(
            f"{name} must be from 1 to {there}, the number of images {those}. "
            f"Received: {count}"
        )
    return count
