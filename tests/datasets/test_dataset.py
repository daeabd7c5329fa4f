"""A data set in memory: its checks, fingerprint, subsets and order."""

import dataclasses

import numpy as np
import pytest

from tests.datasets import helpers


@pytest.mark.parametrize(
    "change",
    [
        {"train_images": np.zeros([8, helpers.SIZE, helpers.SIZE, 3], np.float32)},
        {"test_images": np.zeros([3, helpers.SIZE, helpers.SIZE + 1, 3], np.uint8)},
        {"test_labels": np.zeros([2], np.int32)},
        {"test_labels": np.array([0, 1, -1], np.int32)},
    ],
)
def test_inconsistent_arrays_are_refused(change):
    with pytest.raises(ValueError, match="must be"):
        dataclasses.replace(helpers.make_dataset(), **change)


def test_the_fingerprint_depends_on_neither_name_nor_memory_layout():
    expected = "aba85d83201ff646d016f8a5263523e079bc7a14190757c5bf5b35835aad5dc8"
    dataset = helpers.make_dataset()
    assert dataset.fingerprint() == expected
    assert helpers.make_dataset(name="other").fingerprint() == expected
    every_other = dataset.train_images.repeat(2, axis=0)[::2]
    strided = dataclasses.replace(dataset, train_images=every_other)
    assert strided.fingerprint() == expected


def test_the_fingerprint_depends_on_every_array_and_name():
    dataset = helpers.make_dataset()
    changes = [
        {},
        {"class_names": ("cat", "wolf")},
        {"train_images": dataset.train_images[::-1]},
    ]
    for field in ("train_images", "train_labels", "test_images", "test_labels"):
        changed = getattr(dataset, field).copy()
        changed.flat[-1] ^= 1
        changes.append({field: changed})
    found = {dataclasses.replace(dataset, **one).fingerprint() for one in changes}
    assert len(found | {dataset.take(7).fingerprint()}) == 8


def test_take_returns_the_first_images_of_each_split():
    dataset = helpers.make_dataset()
    taken = dataset.take(5, 1)
    np.testing.assert_array_equal(taken.train_images, dataset.train_images[:5])
    np.testing.assert_array_equal(taken.train_labels, dataset.train_labels[:5])
    np.testing.assert_array_equal(taken.test_images, dataset.test_images[:1])
    assert taken.test_labels.tolist() == [0]
    assert dataset.take() is dataset
    assert len(dataset.take(test_examples=2).train_images) == 8


def test_the_first_images_of_each_class_are_taken_in_order():
    dataset = helpers.make_dataset((1, 0, 1, 1, 0, 0, 1, 0))
    few = dataset.take(examples_per_class=2)
    assert helpers.reds(few.train_images) == [0, 1, 2, 4]
    assert few.train_labels.tolist() == [1, 0, 1, 0]
    assert len(few.test_labels) == 3
    assert dataset.take(examples_per_class=2) is few
    both = dataset.take(7, examples_per_class=3)
    assert both.train_labels.tolist() == [1, 0, 1, 1, 0, 0]


def test_a_seed_draws_images_of_both_splits_without_replacement():
    dataset = helpers.make_dataset(np.arange(200) % 2)
    for seed in (0, 2**31 - 1):
        random = np.random.RandomState(seed).permutation(200)
        drawn = dataset.take(30, 2, seed=seed)
        assert helpers.reds(drawn.train_images) == sorted(random[:30])
        places = np.sort(np.random.RandomState(seed).permutation(3)[:2])
        np.testing.assert_array_equal(drawn.test_labels, dataset.test_labels[places])
        few = dataset.take(30, examples_per_class=4, seed=seed)
        first = [[i for i in random[:30] if i % 2 == label][:4] for label in (0, 1)]
        assert helpers.reds(few.train_images) == sorted(first[0] + first[1])
        assert len(few.test_images) == 3
        few = dataset.take(examples_per_class=4, seed=seed)  # Of all, drawn as well.
        random = np.random.RandomState(seed).permutation(200)
        first = [[i for i in random if i % 2 == label][:4] for label in (0, 1)]
        assert helpers.reds(few.train_images) == sorted(first[0] + first[1])
    assert dataset.take(200, 3, seed=1) is dataset


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"train_examples": 0}, ("train_examples", "1 to 8", "Received: 0")),
        ({"train_examples": 9}, ("train_examples", "1 to 8", "Received: 9")),
        ({"test_examples": 4}, ("test_examples", "1 to 3")),
        ({"examples_per_class": 0}, ("examples_per_class", "1 to 4")),
        ({"train_examples": 7, "examples_per_class": 4}, ("1 to 3", "'dog' has")),
    ],
)
def test_a_number_of_images_out_of_range_is_refused(counts, words):
    with helpers.usage_error(*words):
        helpers.make_dataset().take(**counts)
