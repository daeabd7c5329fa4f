"""A data set in memory, its fingerprint and its subsets."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json

import numpy as np

from normtest_tf import errors

# NumPy guarantees the legacy generator's stream for ever. "The first N images" and
# validation splits in published results depend on that.
_Random = np.random.RandomState


@dataclasses.dataclass(frozen=True, eq=False)
class ImageDataset:
    """Labelled RGB images in two splits.

    Attributes:
        name: A name that can be used for a folder: `cifar10`, `folder-flowers`.
        train_images: uint8 `[n, height, width, 3]`.
        train_labels: int32 `[n]`, indices into `class_names`.
        test_images: uint8 `[m, height, width, 3]`.
        test_labels: int32 `[m]`.
        class_names: One name per class.

    Raises:
        ValueError: If dtypes, shapes or labels are inconsistent.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    # From `take`, so that each is digested only once.
    _subsets: dict[tuple[int, int], ImageDataset] = dataclasses.field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        for images, labels in self._splits():
            if images.dtype != np.uint8 or images.shape[1:] != self.image_shape:
                raise ValueError(
                    f"images must be uint8 [n, *{self.image_shape}]. "
                    f"Received: dtype={images.dtype}, shape={images.shape}"
                )
            if labels.dtype != np.int32 or labels.shape != images.shape[:1]:
                raise ValueError(
                    f"labels must be int32 [{len(images)}]. "
                    f"Received: dtype={labels.dtype}, shape={labels.shape}"
                )
            if not np.all((labels >= 0) & (labels < self.num_classes)):
                raise ValueError(
                    f"labels must be from 0 to {self.num_classes - 1}. "
                    f"Received: {labels.min()} to {labels.max()}"
                )

    @property
    def num_classes(self) -> int:
        """Number of classes, including any without images."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and 3 channels."""
        return (*self.train_images.shape[1:3], 3)

    def fingerprint(self) -> str:
        """Returns the SHA-256 of all pixels, labels and class names, in hexadecimal.

        It depends on the data and their order only, not on the data set's name, the
        machine or the files the data were read from. It is computed once.
        """
        return self._fingerprint

    @functools.cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256(json.dumps(self.class_names).encode())
        for images, labels in self._splits():
            digest.update(json.dumps(images.shape).encode())
            digest.update(np.ascontiguousarray(images).data)
            digest.update(np.ascontiguousarray(labels, dtype="<i4").data)
        return digest.hexdigest()

    def take(
        self, train_examples: int | None = None, test_examples: int | None = None
    ) -> ImageDataset:
        """Returns the first images of each split.

        Args:
            train_examples: Number of training images; None for all.
            test_examples: Number of test images; None for all.

        Returns:
            A data set with the same name and classes; it shares memory with this one.

        Raises:
            UsageError: If a number is below 1 or exceeds the images available.
        """
        train = _checked_count("train_examples", train_examples, self.train_labels)
        test = _checked_count("test_examples", test_examples, self.test_labels)
        if (train, test) == (len(self.train_labels), len(self.test_labels)):
            return self
        if (train, test) not in self._subsets:
            self._subsets[train, test] = dataclasses.replace(
                self,
                train_images=self.train_images[:train],
                train_labels=self.train_labels[:train],
                test_images=self.test_images[:test],
                test_labels=self.test_labels[:test],
            )
        return self._subsets[train, test]

    def _splits(self) -> list[tuple[np.ndarray, np.ndarray]]:
        return [
            (self.train_images, self.train_labels),
            (self.test_images, self.test_labels),
        ]


def split_validation(
    dataset: ImageDataset, examples: int, seed: int
) -> tuple[ImageDataset, np.ndarray, np.ndarray]:
    """Sets training images aside for validation, stratified by class.

    Each class contributes in proportion to its size, rounded so that the total is
    exact; `seed` determines which of its images are drawn. Both parts keep the order
    of the training images.

    Args:
        dataset: The data set to split.
        examples: Number of validation images, fewer than the training images.
        seed: Determines the draw, from 0 to 2**32 - 1.

    Returns:
        The data set without the validation images, the validation images (uint8
        `[examples, height, width, 3]`) and their labels (int32 `[examples]`).

    Raises:
        UsageError: If `examples` leaves either part empty.
    """
    labels = dataset.train_labels
    if not 1 <= examples < len(labels):
        raise errors.UsageError(
            f"validation examples must be from 1 to {len(labels) - 1}, fewer than "
            f"the {len(labels)} training images of {dataset.name}. "
            f"Received: {examples}"
        )
    random = _Random(seed)
    quotas = _class_quotas(labels, dataset.num_classes, examples)
    chosen = np.zeros(len(labels), bool)
    for label, quota in enumerate(quotas):
        chosen[random.permutation(np.flatnonzero(labels == label))[:quota]] = True
    remaining = dataclasses.replace(
        dataset,
        train_images=dataset.train_images[~chosen],
        train_labels=labels[~chosen],
    )
    return remaining, dataset.train_images[chosen], labels[chosen]


def mixed_order(names: list[str]) -> np.ndarray:
    """Returns a fixed order in which the classes are mixed.

    Files sorted by name are sorted by class as well, so that the first N would all
    belong to one class. They are therefore sorted, then shuffled with a constant
    seed: the order depends on the set of names only, not on the file system, the
    machine or the seed of a run.

    Args:
        names: The examples' relative file names, without duplicates.

    Returns:
        int64 `[n]`, indices into `names`.
    """
    ordered = np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)
    return ordered[_Random(0).permutation(len(names))]


def _class_quotas(labels: np.ndarray, num_classes: int, examples: int) -> np.ndarray:
    """Apportions `examples` by largest remainder; returns int64 `[num_classes]`."""
    counts = np.bincount(labels, minlength=num_classes)
    quotas, remainders = np.divmod(counts * examples, len(labels))
    short = examples - quotas.sum()
    quotas[np.argsort(-remainders, kind="stable")[:short]] += 1
    return quotas


def _checked_count(name: str, count: int | None, labels: np.ndarray) -> int:
    if count is None:
        return len(labels)
    if not 1 <= count <= len(labels):
        raise errors.UsageError(
            f"{name} must be from 1 to {len(labels)}, the number of images available. "
            f"Received: {count}"
        )
    return count
