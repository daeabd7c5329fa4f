"""Folders of images: named splits, and folders of classes that are divided."""

import shutil

import numpy as np
import PIL.Image
import pytest

from normtest_tf import datasets
from normtest_tf.datasets import decoding
from tests.datasets import helpers


def write_classes(root, counts):
    """Writes PATH/CLASS/: images of a class's own red values."""
    for number, (name, count) in enumerate(counts.items()):
        for index in range(count):
            value = (50 * number + index, 0, 0)
            helpers.write_image(root / name / f"{index}.png", value)
    return root


def test_a_folder_of_classes_is_divided(tmp_path):
    root = write_classes(tmp_path / "pets", {"cat": 10, "dog": 20, "eel": 2})
    options = datasets.ReadingOptions()
    dataset = datasets.load(f"folder:{root}", options)
    assert dataset.class_names == ("cat", "dog", "eel")
    assert np.bincount(dataset.test_labels).tolist() == [2, 4, 1]
    assert np.bincount(dataset.train_labels).tolist() == [8, 16, 1]
    images = np.concatenate([dataset.train_images, dataset.test_images])
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    np.testing.assert_array_equal(images[:, 0, 0, 0] // 50, labels)
    assert len(np.unique(images[:, 0, 0, 0])) == 32
    assert dataset.division == "0.2 of each class for testing, drawn with seed 0"
    datasets.check_available(f"folder:{root}", options)


def test_the_division_depends_on_the_split_seed_alone(tmp_path):
    root = write_classes(tmp_path, {"cat": 10, "dog": 10})

    def tested(**options):
        reading = datasets.ReadingOptions(**options)
        dataset = datasets.load(f"folder:{root}", reading)
        return sorted(dataset.test_images[:, 0, 0, 0].tolist())

    assert tested(split_seed=5) == tested(split_seed=5)
    assert tested(split_seed=5) != tested(split_seed=6)
    assert len(tested(test_fraction=0.5)) == 10


def test_a_class_of_one_image_can_not_be_divided(tmp_path):
    root = write_classes(tmp_path, {"cat": 3, "dog": 1})
    with helpers.usage_error("'dog' has one image", "no test split"):
        helpers.load_folder(root)


def test_what_is_left_out_of_a_folder_of_classes_is_told(tmp_path):
    root = write_classes(tmp_path / "pets", {"cat": 3, "dog": 3})
    (root / "cat" / "notes.txt").write_text("text")
    _, note = helpers.load_with_note(root)
    assert note.endswith("read 6 images; left out 1 file without an image (.txt)")


def test_splits_can_be_named(tmp_path):
    helpers.write_folder(tmp_path, test="dev")
    helpers.write_image(tmp_path / "test" / "bird" / "0.png")
    options = datasets.ReadingOptions(train_split="dev", test_split="train")
    notes = []
    dataset = datasets.load(f"folder:{tmp_path}", options, notes.append)
    assert dataset.train_images[:, 0, 0, 0].min() == 110
    assert dataset.test_images[:, 0, 0, 0].min() == 10
    assert "the folder test, since train is the test set" in notes[0]
    with helpers.usage_error("the train folder", "tests on training images"):
        datasets.load(f"folder:{tmp_path}", datasets.ReadingOptions(test_split="train"))


def test_images_of_both_splits_are_counted_and_told(tmp_path):
    helpers.write_folder(tmp_path / "pets")
    for index in (0, 2):
        source = tmp_path / "pets" / "train" / "cat" / f"{index}.png"
        shutil.copy(source, tmp_path / "pets" / "test" / "cat" / f"copy{index}.png")
    _, note = helpers.load_with_note(tmp_path / "pets")
    assert "2 of 8 test images are among the training images" in note


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_images_are_resized_as_asked(tmp_path, resize):
    helpers.write_folder(tmp_path, images=1)
    gradient = PIL.Image.linear_gradient("L").crop((0, 0, 200, 100)).convert("RGB")
    gradient.save(tmp_path / "train" / "cat" / "0.png")
    options = datasets.ReadingOptions(image_size=8, resize=resize)
    dataset = datasets.load(f"folder:{tmp_path}", options)
    cat = dataset.train_images[dataset.train_labels == 0][0]
    expected = decoding.resized(np.asarray(gradient), 8, resize)
    np.testing.assert_array_equal(cat, expected)
    assert (cat[0] == 0).all() == (resize == "pad")


@pytest.mark.parametrize("names", [("Train", "Test"), ("training", "testing")])
def test_splits_of_other_names_are_no_classes(tmp_path, names):
    helpers.write_folder(tmp_path, test=names[1])
    (tmp_path / "train").rename(tmp_path / names[0])
    with helpers.usage_error(*names, "look like splits", "--train_split"):
        helpers.load_folder(tmp_path)
    options = datasets.ReadingOptions(train_split=names[0], test_split=names[1])
    assert len(datasets.load(f"folder:{tmp_path}", options).train_labels) == 6


def test_a_train_folder_alone_can_be_divided(tmp_path):
    helpers.write_folder(tmp_path)
    shutil.rmtree(tmp_path / "test")
    with helpers.usage_error(f"folder:{tmp_path}/train is divided"):
        helpers.load_folder(tmp_path)
    assert len(helpers.load_folder(tmp_path / "train").test_labels) == 2


def test_how_to_divide_changes_nothing_where_there_is_a_test_split(tmp_path):
    helpers.write_folder(tmp_path)
    for name in (f"folder:{tmp_path}", "digits"):
        notes = []
        options = datasets.ReadingOptions(test_fraction=0.5)
        dataset = datasets.load(name, options, notes.append)
        assert any(
            "--test_fraction and --split_seed change nothing" in n for n in notes
        )
        assert dataset.division is None


def test_bad_images_are_listed_in_the_order_of_their_numbers(tmp_path):
    root = write_classes(tmp_path, {"cat": 12, "dog": 2})
    for index in (2, 10):
        (root / "cat" / f"{index}.png").write_bytes(b"")
    with helpers.usage_error("cat/2.png is empty; cat/10.png is empty"):
        helpers.load_folder(root)
