"""Which examples are trained and tested on: decided by names and seeds alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np

from normtest_tf import errors
from normtest_tf.datasets.dataset import ImageDataset, Images
from normtest_tf.text import shown

TRAIN = "train"
TESTS = ("test", "val", "valid", "validation")  # In the order of preference.
# NumPy guarantees the legacy generator's stream for ever. "The first N images" and
# divisions in published results depend on that.
_Random = np.random.RandomState


def choose(
    train: str | None, test: str | None, there: Collection[str], place: str
) -> tuple[str, str]:
    """Returns the splits to train and to test on: named ones, or the usual ones."""
    found = (
        train or TRAIN,
        test or next((name for name in TESTS if name in there), TESTS[0]),
    )
    if missing := [name for name in found if name not in there]:
        known = ", ".join(sorted(name or "''" for name in there)) or "none"
        raise errors.UsageError(
            f"{shown(place)} has no {shown(' and no '.join(missing))} split, only "
            f"{shown(known)[:200]}. Name two with --train_split and --test_split; "
            "without any, images are divided"
        )
    if found[0] == found[1]:
        raise errors.UsageError(
            f"--train_split and --test_split are both {shown(found[0])!r}: tests on "
            "training images show nothing. Choose two"
        )
    return found


def mixed_order(names: Sequence[str]) -> np.ndarray:
    """Returns a fixed order in which the classes are mixed, indices, int64 `[n]`."""
    # Sorted by name alone, the first N would all belong to one class. Sorted, then
    # shuffled with a constant seed, the order depends on the set of names only.
    ordered = np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)
    return ordered[_Random(0).permutation(len(names))]


def choose_test(
    labels: np.ndarray, class_names: Sequence[str], fraction: float, seed: int
) -> np.ndarray:
    """Chooses the examples to test on, a share of each class; bool `[n]`."""
    counts = np.bincount(labels, minlength=len(class_names))
    if (single := np.flatnonzero(counts == 1)).size:
        raise errors.UsageError(
            f"the class {shown(class_names[single[0]])!r} has one image: training and "
            "testing need one each, and there is no test split. Add images, or remove "
            "the class"
        )
    quotas = _class_quotas(labels, len(class_names), round(fraction * len(labels)))
    # At least one of each class, and one left to train on; some have no examples.
    quotas = np.maximum(np.minimum(np.maximum(quotas, 1), counts - 1), 0)
    return _draw(labels, quotas, seed)


def split_validation(
    dataset: ImageDataset, examples: int, seed: int
) -> tuple[ImageDataset, Images, np.ndarray]:
    """Sets training images aside for validation, stratified by class.

    Each class contributes in proportion to its size, rounded so that the total is
    exact; `seed` determines which of its images are drawn. Both parts keep the order
    of the training images. Returns the data set without the validation images, these,
    and their labels, int32 `[examples]`.
    """
    labels = dataset.train_labels
    if not 1 <= examples < len(labels):
        raise errors.UsageError(
            f"validation examples must be from 1 to {len(labels) - 1}, fewer than "
            f"the {len(labels)} training images of {dataset.name}. "
            f"Received: {examples}"
        )
    quotas = _class_quotas(labels, dataset.num_classes, examples)
    chosen = _draw(labels, quotas, seed)
    remaining = dataclasses.replace(
        dataset,
        train_images=dataset.train_images[~chosen],
        train_labels=labels[~chosen],
    )
    return remaining, dataset.train_images[chosen], labels[chosen]


def _draw(labels: np.ndarray, quotas: np.ndarray, seed: int) -> np.ndarray:
    """Draws a number of examples of each class; returns bool `[n]`."""
    random = _Random(seed)
    chosen = np.zeros(len(labels), bool)
    for label, quota in enumerate(quotas):
        chosen[random.permutation(np.flatnonzero(labels == label))[:quota]] = True
    return chosen


def _class_quotas(labels: np.ndarray, num_classes: int, examples: int) -> np.ndarray:
    """Apportions `examples` by largest remainder; returns int64 `[num_classes]`."""
    counts = np.bincount(labels, minlength=num_classes)
    quotas, remainders = np.divmod(counts * examples, len(labels))
    short = examples - quotas.sum()
    quotas[np.argsort(-remainders, kind="stable")[:short]] += 1
    return quotas
