"""The registry: the names of the data sets and what `load` makes of them."""

import numpy as np
import PIL.Image
import pytest

from normtest_tf import datasets
from tests.datasets import helpers
from tests.helpers import programs

BILINEAR = PIL.Image.Resampling.BILINEAR


def test_importing_the_package_and_naming_a_data_set_is_light():
    code = (
        "import sys, normtest_tf.datasets as d; d.slug('cifar10');"
        "heavy = {'tensorflow', 'keras', 'tensorflow_datasets', 'sklearn'};"
        "assert not heavy & set(sys.modules)"
    )
    programs.run_code(code)


def test_every_description_agrees_with_itself():
    assert list(datasets.DATASETS) == [
        "cifar10",
        "cifar100",
        "svhn_cropped",
        "tiny_imagenet",
        "digits",
    ]
    for name, description in datasets.DATASETS.items():
        assert description.name == name
        if name != "tiny_imagenet":
            assert len(set(description.class_names)) == description.num_classes
        if name != "digits":
            assert description.published_statistics.definition == "pooled"


@pytest.mark.parametrize("function", [datasets.load, datasets.slug])
def test_an_unknown_name_lists_the_nearest_and_the_allowed(function):
    with helpers.usage_error("cifar11", "'cifar10'", "folder:PATH"):
        function("cifar11")


@pytest.mark.parametrize("name", ["folder:", "folder: "])
def test_a_folder_needs_a_path(name):
    with helpers.usage_error("has no path"):
        datasets.load(name)


@pytest.mark.parametrize("size", [0, -1, 1025])
def test_an_image_size_out_of_range_is_refused(size, tmp_path):
    with helpers.usage_error("image_size", size):
        helpers.load_folder(helpers.write_folder(tmp_path), image_size=size)


def test_a_data_set_of_fixed_size_is_resized_as_pillow_does():
    options = datasets.ReadingOptions(image_size=48)
    dataset = datasets.load("digits", options).take(3, 2)
    assert dataset.image_shape == (48, 48, 3)
    for image, original in zip(
        dataset.train_images, datasets.load("digits").train_images, strict=False
    ):
        expected = PIL.Image.fromarray(original).resize((48, 48), BILINEAR)
        np.testing.assert_array_equal(image, np.asarray(expected))
    same = datasets.load("digits", datasets.ReadingOptions(image_size=32))
    assert same.fingerprint() == datasets.load("digits").fingerprint()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"resize": "stretch"}, ("--resize", "'stretch'", "squash, crop, pad")),
        ({"test_fraction": 0.0}, ("--test_fraction", "0.0")),
        ({"test_fraction": 1.0}, ("--test_fraction", "1.0")),
        ({"train_split": "train"}, ("--train_split", "digits", "its own splits")),
    ],
)
def test_options_that_are_not_allowed_are_refused(options, words):
    with helpers.usage_error(*words):
        datasets.load("digits", datasets.ReadingOptions(**options))


def test_options_are_chosen_among_other_values():
    values = {"image_size": 64, "resize": None, "model": "resnet18"}
    options = datasets.ReadingOptions.among(values, data_dir="here")
    assert options == datasets.ReadingOptions(data_dir="here", image_size=64)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("csv:", "has no path"),
        ("tfds:", "has no name"),
        ("tfds:a b", "is no name of TensorFlow Datasets"),
        ("tfds:huggingface:mnist", "is no name of TensorFlow Datasets"),
        ("tfds:../mnist", "is no name of TensorFlow Datasets"),
        ("zip:x", "unknown data set"),
    ],
)
def test_names_of_other_kinds_need_a_location(name, words):
    with helpers.usage_error(words):
        datasets.check(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("svhn_cropped", "svhn_cropped"),
        ("folder:/data/flowers", "folder-flowers"),
        ("folder:flowers/", "folder-flowers"),
        ("folder:/data/my flowers!", "folder-my_flowers_"),
        ("folder:/data/fleurs-été.v2", "folder-fleurs-été.v2"),
        ("folder:/", "folder-root"),
        ("csv:/data/my flowers.csv", "csv-my_flowers"),
        ("tfds:eurosat/rgb", "tfds-eurosat-rgb"),
        ("tfds:mnist:3.0.1", "tfds-mnist-3.0.1"),
    ],
)
def test_a_slug_can_be_a_folder_name(name, expected):
    assert datasets.slug(name) == expected


def test_the_slug_of_the_current_folder_is_its_name(tmp_path, monkeypatch):
    (tmp_path / "flowers").mkdir()
    monkeypatch.chdir(tmp_path / "flowers")
    assert datasets.slug("folder:.") == "folder-flowers"


def test_a_folder_is_checked_without_being_read(tmp_path):
    datasets.check_available("cifar10")
    (tmp_path / "train").mkdir()
    with helpers.usage_error("no test split"):
        datasets.check_available(f"folder:{tmp_path}")
    (tmp_path / "valid").mkdir()
    datasets.check_available(f"folder:{tmp_path}")
