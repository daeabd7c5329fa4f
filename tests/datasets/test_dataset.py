"""A data set in memory: its checks, fingerprint, subsets and order."""

import dataclasses

import numpy as np
import pytest

from normtest_tf import errors
from tests.datasets import helpers


def test_the_shape_and_number_of_classes_come_from_the_data():
    dataset = helpers.make_dataset()
    assert dataset.num_classes == 2
    assert dataset.image_shape == (helpers.SIZE, helpers.SIZE, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"train_images": np.zeros([8, helpers.SIZE, helpers.SIZE, 3], np.float32)},
        {"train_images": np.zeros([8, helpers.SIZE, helpers.SIZE, 1], np.uint8)},
        {"test_images": np.zeros([3, helpers.SIZE, helpers.SIZE + 1, 3], np.uint8)},
        {"test_labels": np.zeros([3], np.int64)},
        {"test_labels": np.zeros([2], np.int32)},
        {"test_labels": np.array([0, 1, 2], np.int32)},
        {"test_labels": np.array([0, 1, -1], np.int32)},
    ],
)
def test_inconsistent_arrays_are_refused(change):
    with pytest.raises(ValueError, match="must be"):
        dataclasses.replace(helpers.make_dataset(), **change)


def test_the_fingerprint_depends_on_neither_name_nor_memory_layout():
    expected = "aba85d83201ff646d016f8a5263523e079bc7a14190757c5bf5b35835aad5dc8"
    assert helpers.make_dataset().fingerprint() == expected
    assert helpers.make_dataset(name="other").fingerprint() == expected
    every_other = helpers.make_dataset().train_images.repeat(2, axis=0)[::2]
    strided = dataclasses.replace(helpers.make_dataset(), train_images=every_other)
    assert strided.fingerprint() == expected


def test_the_fingerprint_depends_on_every_array_and_name():
    dataset = helpers.make_dataset()
    seen = {dataset.fingerprint()}
    for field in ("train_images", "train_labels", "test_images", "test_labels"):
        changed = getattr(dataset, field).copy()
        changed.flat[-1] ^= 1
        seen.add(dataclasses.replace(dataset, **{field: changed}).fingerprint())
    renamed = dataclasses.replace(dataset, class_names=("cat", "wolf"))
    reversed_images = dataclasses.replace(
        dataset, train_images=dataset.train_images[::-1]
    )
    seen |= {
        renamed.fingerprint(),
        reversed_images.fingerprint(),
        dataset.take(7).fingerprint(),
    }
    assert len(seen) == 8


def test_take_returns_the_first_images_of_each_split():
    dataset = helpers.make_dataset()
    taken = dataset.take(5, 1)
    np.testing.assert_array_equal(taken.train_images, dataset.train_images[:5])
    np.testing.assert_array_equal(taken.train_labels, dataset.train_labels[:5])
    np.testing.assert_array_equal(taken.test_images, dataset.test_images[:1])
    assert taken.test_labels.tolist() == [0]
    assert len(dataset.take().train_images) == 8
    assert len(dataset.take(test_examples=3).test_images) == 3


@pytest.mark.parametrize("count", [0, -1, 9])
def test_take_refuses_a_count_out_of_range(count):
    with helpers.usage_error("train_examples", "1 to 8", count):
        helpers.make_dataset().take(train_examples=count)


def test_take_refuses_more_test_images_than_there_are():
    with helpers.usage_error("test_examples", "1 to 3"):
        helpers.make_dataset().take(test_examples=4)


def test_the_first_images_of_each_class_are_taken_in_order():
    dataset = helpers.make_dataset((1, 0, 1, 1, 0, 0, 1, 0))
    few = dataset.take(examples_per_class=2)
    assert few.train_images[:, 0, 0, 0].tolist() == [0, 1, 2, 4]
    assert few.train_labels.tolist() == [1, 0, 1, 0]
    assert len(few.test_labels) == 3
    assert dataset.take(examples_per_class=2) is few
    # Of the first images, where both are asked for.
    assert dataset.take(7, examples_per_class=3).train_labels.tolist() == [
        1,
        0,
        1,
        1,
        0,
        0,
    ]
    assert dataset.take().fingerprint() == dataset.fingerprint() != few.fingerprint()


def test_a_class_with_too_few_images_is_named():
    dataset = helpers.make_dataset((1, 0, 1, 1, 0, 0, 1, 0))
    with pytest.raises(errors.UsageError, match="'cat' has only 3 training images"):
        dataset.take(7, examples_per_class=4)
    with pytest.raises(errors.UsageError, match="at least 1"):
        dataset.take(examples_per_class=0)
