"""The names of data sets, and the options to read them."""

import pytest

from normtest_tf import datasets
from tests.datasets import helpers


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cifar11", ("cifar11", "'cifar10'", "folder:PATH")),
        ("zip:x", ("unknown data set",)),
        ("folder:", ("has no path",)),
        ("tfds:../mnist", ("has no name of TensorFlow Datasets",)),
    ],
)
def test_other_names_are_refused(name, words):
    for function in (datasets.slug, datasets.check_available, datasets.load):
        with helpers.usage_error(*words):
            function(name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_size": 1025}, ("--image_size", "Received: 1025")),
        ({"resize": "stretch"}, ("--resize", "'stretch'", "squash, crop, pad")),
        ({"test_fraction": 1.0}, ("--test_fraction", "1.0")),
        ({"train_split": "train"}, ("--train_split", "digits", "its own splits")),
        ({"shift": "contrast"}, ("--shift",)),
    ],
)
def test_options_that_are_not_allowed_are_refused(options, words):
    with helpers.usage_error(*words):
        datasets.load("digits", datasets.ReadingOptions(**options))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("svhn_cropped", "svhn_cropped"),
        ("folder:/data/flowers/", "folder-flowers"),
        ("folder:/data/fleurs-été.v2", "folder-fleurs-été.v2"),
        ("folder:/", "folder-root"),
        ("csv:/data/my flowers.csv", "csv-my_flowers"),
        ("tfds:mnist:3.0.1", "tfds-mnist-3.0.1"),
    ],
)
def test_a_slug_can_be_a_folder_name(name, expected):
    assert datasets.slug(name) == expected
