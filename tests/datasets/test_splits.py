"""Orders and divisions: stratified, complete, and decided by names and seeds alone."""

import numpy as np
import pytest

from normtest_tf import datasets
from normtest_tf.datasets import splits
from tests.datasets import helpers


def test_a_validation_split_is_stratified_and_loses_nothing():
    dataset = helpers.make_dataset([0] * 30 + [1] * 60)
    rest, images, labels = datasets.split_validation(dataset, examples=30, seed=7)
    assert np.bincount(labels).tolist() == [10, 20]
    assert labels.dtype == np.int32
    assert images.dtype == np.uint8
    # Every image's pixels are its index, so nothing is lost, duplicated or mislabelled.
    indices = np.concatenate([rest.train_images, images])[:, 0, 0, 0]
    np.testing.assert_array_equal(np.sort(indices), np.arange(90))
    np.testing.assert_array_equal(labels, images[:, 0, 0, 0] >= 30)
    np.testing.assert_array_equal(
        rest.train_labels, rest.train_images[:, 0, 0, 0] >= 30
    )
    assert np.all(np.diff(rest.train_images[:, 0, 0, 0].astype(int)) > 0)
    assert rest.test_images is dataset.test_images


@pytest.mark.parametrize("examples", [1, 2, 5, 33, 99])
def test_a_validation_split_has_exactly_the_requested_size(examples):
    dataset = helpers.make_dataset([0] * 33 + [1] * 67)
    rest, _, labels = datasets.split_validation(dataset, examples, seed=0)
    assert len(labels) == examples
    assert len(rest.train_labels) == 100 - examples
    assert abs(np.sum(labels == 0) - 0.33 * examples) < 1


def test_a_validation_split_depends_on_the_seed_alone():
    dataset = helpers.make_dataset([0, 1] * 50)

    def chosen(seed):
        return datasets.split_validation(dataset, 20, seed)[1][:, 0, 0, 0].tolist()

    assert chosen(1) == chosen(1)
    assert chosen(1) != chosen(2)
    assert chosen(1) != list(range(20))


@pytest.mark.parametrize("examples", [0, 8, -1])
def test_a_validation_split_that_leaves_either_part_empty_is_refused(examples):
    with helpers.usage_error("1 to 7", examples):
        datasets.split_validation(helpers.make_dataset(), examples, seed=0)


def test_the_mixed_order_depends_on_the_names_alone():
    names = [f"{label}/{index:02}.png" for label in "ab" for index in range(50)]
    order = [names[index] for index in splits.mixed_order(names)]
    backwards = names[::-1]
    again = [backwards[index] for index in splits.mixed_order(backwards)]
    assert order == again
    assert sorted(order) == names
    assert {name[0] for name in order[:10]} == {"a", "b"}


@pytest.mark.parametrize(("fraction", "expected"), [(0.2, [6, 12]), (0.5, [15, 30])])
def test_test_images_are_a_share_of_each_class(fraction, expected):
    labels = np.array([0] * 30 + [1] * 60)
    chosen = splits.choose_test(labels, ("cat", "dog"), fraction, seed=3)
    assert np.bincount(labels[chosen]).tolist() == expected
    again = splits.choose_test(labels, ("cat", "dog"), fraction, seed=3)
    other = splits.choose_test(labels, ("cat", "dog"), fraction, seed=4)
    np.testing.assert_array_equal(chosen, again)
    assert (chosen != other).any()


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_every_class_is_trained_on_and_tested(fraction):
    labels = np.array([0] * 2 + [1] * 97)
    chosen = splits.choose_test(labels, ("cat", "dog"), fraction, seed=0)
    for part in (labels[chosen], labels[~chosen]):
        assert set(part) == {0, 1}


def test_a_class_of_one_example_is_named_and_one_of_none_is_possible():
    labels = np.array([0] * 5 + [1])
    with helpers.usage_error("'dog' has one image", "no test split"):
        splits.choose_test(labels, ("cat", "dog"), 0.2, seed=0)
    chosen = splits.choose_test(labels[:5], ("cat", "dog"), 0.2, seed=0)
    assert chosen.sum() == 1
