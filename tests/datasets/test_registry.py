"""The registry: which names there are and what `load` makes of them."""

import subprocess
import sys

import pytest

from normtest_tf import datasets
from tests.datasets import helpers


def test_import_is_light():
    code = (
        "import sys, normtest_tf.datasets as d; d.slug('cifar10');"
        "heavy = {'tensorflow', 'keras', 'tensorflow_datasets', 'sklearn', 'PIL'};"
        "assert not heavy & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_registry_is_consistent():
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
def test_unknown_name(function):
    with helpers.usage_error("cifar11", "'cifar10'", "folder:PATH"):
        function("cifar11")


@pytest.mark.parametrize("name", ["folder:", "folder: "])
def test_folder_without_path(name):
    with helpers.usage_error("lacks its path"):
        datasets.load(name)


@pytest.mark.parametrize("size", [0, -1, 1025])
def test_image_size_out_of_range(size, tmp_path):
    with helpers.usage_error("image_size", size):
        helpers.load_folder(helpers.write_folder(tmp_path), image_size=size)


def test_image_size_of_fixed_dataset():
    with helpers.usage_error("image_size", "32", "64"):
        datasets.load("digits", image_size=64)
    assert datasets.load("digits", image_size=32).image_shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("svhn_cropped", "svhn_cropped"),
        ("folder:/data/flowers", "folder-flowers"),
        ("folder:flowers/", "folder-flowers"),
        ("folder:/data/my flowers!", "folder-my_flowers_"),
        ("folder:/data/fleurs-été.v2", "folder-fleurs-été.v2"),
        ("folder:/", "folder-root"),
    ],
)
def test_slug(name, expected):
    assert datasets.slug(name) == expected


def test_slug_of_current_folder(tmp_path, monkeypatch):
    (tmp_path / "flowers").mkdir()
    monkeypatch.chdir(tmp_path / "flowers")
    assert datasets.slug("folder:.") == "folder-flowers"
