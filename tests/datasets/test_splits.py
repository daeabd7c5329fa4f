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
    # Every image's pixels are its index, so nothing is lost, duplicated or mislabelled.
    kept, drawn = rest.train_images[:, 0, 0, 0], images[:, 0, 0, 0]
    np.testing.assert_array_equal(np.sort([*kept, *drawn]), np.arange(90))
    np.testing.assert_array_equal(labels, drawn >= 30)
    np.testing.assert_array_equal(rest.train_labels, kept >= 30)
    assert np.all(np.diff(kept.astype(int)) > 0)
    assert rest.test_images is dataset.test_images
    _, again, _ = datasets.split_validation(dataset, examples=30, seed=7)
    np.testing.assert_array_equal(again, images)
    _, others, _ = datasets.split_validation(dataset, examples=30, seed=8)
    assert helpers.reds(others) != helpers.reds(images)


@pytest.mark.parametrize("examples", [1, 2, 5, 33, 99])
def test_a_validation_split_has_exactly_the_requested_size(examples):
    dataset = helpers.make_dataset([0] * 33 + [1] * 67)
    rest, _, labels = datasets.split_validation(dataset, examples, seed=0)
    assert len(labels) == examples
    assert len(rest.train_labels) == 100 - examples
    assert abs(np.sum(labels == 0) - 0.33 * examples) < 1


@pytest.mark.parametrize("examples", [0, 8, -1])
def test_a_validation_split_that_leaves_either_part_empty_is_refused(examples):
    with helpers.usage_error("1 to 7", examples):
        datasets.split_validation(helpers.make_dataset(), examples, seed=0)


def test_the_mixed_order_depends_on_the_names_alone():
    names = [f"{label}/{index:02}.png" for label in "ab" for index in range(50)]
    order = [names[index] for index in splits.mixed_order(names)]
    backwards = names[::-1]
    assert order == [backwards[index] for index in splits.mixed_order(backwards)]
    assert sorted(order) == names
    assert {name[0] for name in order[:10]} == {"a", "b"}


@pytest.mark.parametrize(
    ("counts", "fraction", "expected"),
    [
        ([30, 60], 0.2, [6, 12]),
        ([30, 60], 0.5, [15, 30]),
        ([2, 97], 0.001, [1, 1]),
        ([2, 97], 0.999, [1, 96]),
        ([5, 0], 0.2, [1, 0]),
    ],
)
def test_test_images_are_a_share_of_each_class(counts, fraction, expected):
    labels = np.repeat([0, 1], counts)
    chosen = splits.choose_test(labels, ("cat", "dog"), fraction, seed=3)
    assert np.bincount(labels[chosen], minlength=2).tolist() == expected


def test_a_class_of_one_example_is_named():
    with helpers.usage_error("'dog' has one image", "no test split"):
        splits.choose_test(np.array([0] * 5 + [1]), ("cat", "dog"), 0.2, seed=0)
