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


def test_a_class_without_training_images_is_named(tiny):
    shutil.rmtree(tiny / "train" / "n02")
    with helpers.usage_error(tiny / "train" / "n02" / "images", "no *.JPEG"):
        load_tiny(tiny)


def test_missing_annotations_are_named(tiny):
    (tiny / "val" / "val_annotations.txt").unlink()
    with helpers.usage_error("val_annotations.txt", "can't be read"):
        load_tiny(tiny)


def test_missing_test_images_are_named(tiny):
    shutil.rmtree(tiny / "val" / "images")
    with helpers.usage_error(tiny / "val" / "images", "no *.JPEG"):
        load_tiny(tiny)


def test_a_listed_image_that_is_missing_is_named(tiny):
    (tiny / "val" / "images" / "val_1.JPEG").unlink()
    with helpers.usage_error("val_1.JPEG is missing"):
        load_tiny(tiny)


def test_an_image_without_a_label_is_named(tiny):
    helpers.write_image(tiny / "val" / "images" / "val_9.JPEG", size=(64, 64))
    with helpers.usage_error("val_9.JPEG has no label"):
        load_tiny(tiny)


@pytest.mark.parametrize("line", ["val_1.JPEG\tn77\t0", "val_1.JPEG"])
def test_an_annotation_of_an_unknown_class_is_shown(tiny, line):
    with open(tiny / "val" / "val_annotations.txt", "a") as file:
        file.write(line + "\n")
    with helpers.usage_error("not in wnids.txt", repr(line)):
        load_tiny(tiny)


def test_an_image_of_another_size_is_named(tiny):
    helpers.write_image(tiny / "train" / "n01" / "images" / "n01_1.JPEG", size=(32, 64))
    with helpers.usage_error("n01_1.JPEG", "32x64", "64x64"):
        load_tiny(tiny)


def test_a_corrupt_image_is_named(tiny):
    path = tiny / "train" / "n01" / "images" / "n01_1.JPEG"
    path.write_bytes(path.read_bytes()[:100])
    with helpers.usage_error(path, "is truncated (100 bytes)"):
        load_tiny(tiny)


def test_a_folder_in_place_of_an_image_is_named(tiny):
    path = tiny / "train" / "n01" / "images" / "n01_1.JPEG"
    path.unlink()
    path.mkdir()
    with helpers.usage_error(path, "is not a file"):
        load_tiny(tiny)
