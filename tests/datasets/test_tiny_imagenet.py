"""Tiny ImageNet: a small archive with its layout, intact and corrupt."""

import shutil

import numpy as np
import pytest

from normtest_tf import datasets
from tests.datasets import helpers

WNIDS = ("n02", "n01")


@pytest.fixture
def tiny(tmp_path):
    """An archive of two classes whose images are grey 10, 11, ... and 20, 21, ..."""
    root = tmp_path / "tiny-imagenet-200"
    for wnid in WNIDS:
        base = int(wnid[1:]) * 10
        for index in range(4):
            path = root / "train" / wnid / "images" / f"{wnid}_{index}.JPEG"
            helpers.write_image(path, base + index, (64, 64), "L", quality=100)
    lines = []
    for index, wnid in enumerate(("n01", "n02", "n02")):
        path = root / "val" / "images" / f"val_{index}.JPEG"
        helpers.write_image(path, (200, 100, 30 * index), (64, 64), quality=100)
        lines.append(f"val_{index}.JPEG\t{wnid}\t0\t32\t44\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    (root / "wnids.txt").write_text("\n".join(WNIDS) + "\n")
    (root / "words.txt").write_text("n01\tgoldfish, Carassius auratus\nn09\tother\n")
    return root


def load_tiny(root):
    return datasets.load("tiny_imagenet", datasets.ReadingOptions(data_dir=str(root)))


def test_the_archive_gives_images_labels_and_class_names(tiny):
    dataset = load_tiny(tiny.parent)
    assert dataset.name == "tiny_imagenet"
    assert dataset.class_names == ("goldfish, Carassius auratus", "n02")
    assert dataset.image_shape == (64, 64, 3)
    values = dataset.train_images[:, 0, 0, 0]
    assert sorted(values) == [10, 11, 12, 13, 20, 21, 22, 23]
    np.testing.assert_array_equal(dataset.train_labels, values >= 20)
    assert set(dataset.train_labels[:5]) == {0, 1}
    blue = dataset.test_images[:, 0, 0, 2]
    np.testing.assert_array_equal(dataset.test_labels, blue > 15)
    assert load_tiny(tiny).fingerprint() == dataset.fingerprint()


def test_the_archive_is_found_in_the_default_directory(tiny, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tiny.parent))
    assert len(datasets.load("tiny_imagenet").train_labels) == 8


def test_classes_without_words_go_by_their_wordnet_id(tiny):
    (tiny / "words.txt").unlink()
    assert load_tiny(tiny).class_names == ("n01", "n02")


def test_a_missing_archive_says_where_to_get_it(tmp_path):
    url = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
    with helpers.usage_error(tmp_path, "wnids.txt", url, "--data_dir"):
        load_tiny(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda root: shutil.rmtree(root / "train/n02"), ("no *.JPEG", "train/n02")),
        (
            lambda root: (root / "val/val_annotations.txt").unlink(),
            ("val_annotations.txt", "unpack the archive again"),
        ),
        (
            lambda root: (root / "val/val_annotations.txt").write_text("a\tn77\t0\n"),
            ("val_annotations.txt", "n77", "unpack the archive again"),
        ),
        (
            lambda root: (root / "val/images/val_1.JPEG").unlink(),
            ("1 of 11 images", "val/images/val_1.JPEG (No such file"),
        ),
        (
            lambda root: helpers.write_image(
                root / "train/n01/images/n01_1.JPEG", size=(32, 64)
            ),
            ("64x64", "32x64", "n01_1.JPEG"),
        ),
    ],
)
def test_an_archive_that_can_not_be_used_is_refused(tiny, change, words):
    change(tiny)
    with helpers.usage_error(*words):
        load_tiny(tiny)


def test_images_can_be_resized(tiny):
    options = datasets.ReadingOptions(data_dir=str(tiny), image_size=32)
    assert datasets.load("tiny_imagenet", options).image_shape == (32, 32, 3)
