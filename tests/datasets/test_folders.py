"""Folders of images: layouts, what is left out, and what is refused."""

import os
import pathlib
import shutil

import numpy as np
import pytest

from normtest_tf import datasets
from normtest_tf.datasets import catalogue, images
from tests.datasets import helpers


def load_with_note(root):
    """Returns the data set and the one note about it."""
    notes = []
    dataset = helpers.load_folder(root, notes.append)
    (note,) = notes
    return dataset, note


def reds(pixels):
    return sorted(helpers.reds(pixels))


def test_images_are_ordered_by_their_sorted_names_permuted(tmp_path):
    notes = []
    root = helpers.write_folder(tmp_path / "pets", images=20)
    dataset = helpers.load_folder(root, notes.append)
    assert (dataset.name, dataset.class_names) == ("folder-pets", ("cat", "dog"))
    values = [10 + index for index in range(20)] + [20 + index for index in range(20)]
    names = [f"train/{c}/{i}.png" for c in ("cat", "dog") for i in range(20)]
    pairs = [value for _, value in sorted(zip(names, values, strict=True))]
    expected = np.array(pairs)[np.random.RandomState(0).permutation(40)]
    np.testing.assert_array_equal(dataset.train_images[:, 0, 0, 0], expected)
    assert reds(dataset.test_images) == sorted(100 + value for value in values)
    (note,) = notes  # Of cats and dogs of one value.
    assert "folder-pets: 20 pictures in several classes, such as train/" in note


def test_splits_are_the_usual_ones_or_named(tmp_path, monkeypatch):
    helpers.write_folder(tmp_path / "pets", test="valid")
    monkeypatch.chdir(tmp_path / "pets")
    shutil.copytree("valid", "validation")
    pathlib.Path("docs").mkdir()
    dataset, note = load_with_note(".")
    assert dataset.name == "folder-pets"
    assert min(reds(dataset.test_images)) == 110
    assert "1 of another split (validation)" in note
    dataset = helpers.load_folder(".", train_split="valid", test_split="train")
    assert max(reds(dataset.test_images)) == 22
    shutil.rmtree("validation")
    pathlib.Path("valid").rename("Testing")
    with helpers.usage_error("no test split", "Testing, docs, train", "--test_split"):
        helpers.load_folder(".")
    pathlib.Path("train").rename("Training")
    with helpers.usage_error("Testing and Training", "look like splits"):
        helpers.load_folder(".")


@pytest.mark.parametrize(
    "names",
    ["seg_pred seg_test seg_train", "test_set training_set", "Holdout Training"],
)
def test_splits_of_other_names_are_not_taken_for_classes(tmp_path, names):
    for name in names.split():
        helpers.write_folder(tmp_path / "pets", images=1)
        (tmp_path / "pets" / "train").rename(tmp_path / name)
    shutil.rmtree(tmp_path / "pets")
    with helpers.usage_error("look like splits", names.split()[-1]):
        helpers.load_folder(tmp_path)


def test_classes_may_be_named_like_a_split(tmp_path):
    helpers.write_folder(tmp_path / "pets")
    for name in ("bullet_train", "freight_train", "testament", "test_tube"):
        shutil.copytree(tmp_path / "pets" / "train" / "cat", tmp_path / name)
    shutil.rmtree(tmp_path / "pets")
    assert len(helpers.load_folder(tmp_path).class_names) == 4


@pytest.mark.parametrize("resize", datasets.RESIZES)
def test_images_of_several_sizes_are_resized(tmp_path, resize):
    helpers.write_folder(tmp_path, images=1)
    path = tmp_path / "train" / "cat" / "0.png"
    helpers.write_random(path, (31, 12), np.random.default_rng(0))
    with helpers.usage_error("4x4", "31x12", "train/cat/0.png", "--image_size"):
        helpers.load_folder(tmp_path)
    # Shifts come after it: its borders become white.
    options = {"image_size": 8, "resize": resize, "shift": "invert"}
    dataset = helpers.load_folder(tmp_path, **options)
    cat = dataset.train_images[dataset.train_labels == 0][0]
    expected = images.resized(images.decode_file(path), 8, resize)
    np.testing.assert_array_equal(cat, 255 - expected)


def test_a_folder_of_classes_is_divided(tmp_path):
    root = tmp_path / "pets"
    for number, (name, count) in enumerate({"cat": 10, "dog": 20, "eel": 2}.items()):
        for index in range(count):
            value = (50 * number + index, 0, 0)
            helpers.write_image(root / name / f"{index}.png", value)
    dataset = helpers.load_folder(root)
    assert np.bincount(dataset.test_labels).tolist() == [2, 4, 1]
    assert np.bincount(dataset.train_labels).tolist() == [8, 16, 1]
    pixels = np.concatenate([dataset.train_images, dataset.test_images])
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    np.testing.assert_array_equal(pixels[:, 0, 0, 0] // 50, labels)
    assert len(set(reds(pixels))) == 32
    assert dataset.division == "0.2 of each class for testing, drawn with seed 0"
    other = helpers.load_folder(root, split_seed=1)
    assert reds(other.test_images) != reds(dataset.test_images)


def test_options_on_a_division_that_is_not_made_are_noted(tmp_path):
    root = helpers.write_folder(tmp_path / "pets")
    options = datasets.ReadingOptions(test_fraction=0.5)
    for read in (datasets.load, catalogue.count_pixels):
        notes = []
        read(f"folder:{root}", options, notes.append)
        (note,) = notes
        assert note.startswith("folder-pets has a test split, so --test_fraction")


def remove(*names):
    return lambda root: [shutil.rmtree(root / name) for name in names]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (remove("."), ("No such file", "train/CLASS")),
        (remove("train"), ("no train split, only test",)),
        (remove("train/dog"), ("one of", "only: dog")),
        (remove("train/cat", "test/cat"), ("only one class, 'dog'",)),
        (remove("test/cat", "test/dog"), ("test has no class folders",)),
        (lambda root: (root / "train/cow").mkdir(), ("train/cow contains no images",)),
    ],
)
def test_a_layout_that_can_not_be_used_is_refused(tmp_path, change, words):
    change(helpers.write_folder(tmp_path / "pets"))
    with helpers.usage_error(tmp_path / "pets", *words):
        helpers.load_folder(tmp_path / "pets")


def test_the_first_ten_bad_images_are_named_with_their_number(tmp_path):
    helpers.write_folder(tmp_path)
    for index in range(11):
        (tmp_path / "train" / "cat" / f"bad{index}.jpg").write_bytes(b"")
    (tmp_path / "test" / "dog" / "bad.webp").write_bytes(b"\0\0\0\x18ftypheic")
    with helpers.usage_error(
        f"12 of 24 images in {tmp_path} can't be used: test/dog/bad.webp (Pillow can't",
        "train/cat/bad0.jpg (it is empty), ",
        "bad7.jpg (it is empty), and 2 more. Repair or remove them",
    ) as caught:
        helpers.load_folder(tmp_path)
    assert "bad8.jpg" not in str(caught.value)


def test_test_images_among_the_training_images_are_counted(tmp_path):
    helpers.write_folder(tmp_path)
    shutil.copy(tmp_path / "train/cat/0.png", tmp_path / "test/cat/again.png")
    _, note = load_with_note(tmp_path)
    assert "1 of 7 test images is among the training images" in note
    (tmp_path / "test/cat/again.png").rename(tmp_path / "test/dog/again.png")
    _, note = load_with_note(tmp_path)
    both = "train/cat/0.png (cat) and test/dog/again.png (dog)"
    assert f"1 picture in several classes, such as {both}" in note


def test_names_that_differ_in_their_unicode_form_are_refused_as_such(tmp_path):
    helpers.write_folder(tmp_path)
    (tmp_path / "train/cat").rename(tmp_path / "train/caf\u00e9")
    (tmp_path / "test/cat").rename(tmp_path / "test/cafe\u0301")
    with helpers.usage_error(r"tell 'cafe\u0301' and 'caf\xe9' apart"):
        helpers.load_folder(tmp_path)


def test_images_are_found_by_content_and_in_nested_folders(tmp_path):
    cat = helpers.write_folder(tmp_path, images=1) / "train" / "cat"
    helpers.write_image(cat / "a.BMP", (30, 0, 0))
    helpers.write_image(cat / "b.jpg", (31, 0, 0), format="GIF")
    helpers.write_image(cat / "hash", (32, 0, 0), format="PNG")
    helpers.write_image(cat / "more.png" / "and more" / "d.png", (33, 0, 0))
    dataset = helpers.load_folder(tmp_path)
    assert reds(dataset.train_images) == [10, 20, *range(30, 34)]


@pytest.mark.parametrize(
    "name", [".hidden", "__MACOSX", "@eaDir", "._x.jpg", "Thumbs.db", "THUMBS.DB"]
)
def test_hidden_and_system_entries_are_left_out_everywhere(tmp_path, name):
    expected = helpers.load_folder(helpers.write_folder(tmp_path)).fingerprint()
    helpers.write_image(tmp_path / name / "ant" / "0.png")
    for split in ("train", "test"):
        helpers.write_image(tmp_path / split / name / "0.png")
        helpers.write_image(tmp_path / split / "cat" / name / "0.png")
        helpers.write_image(tmp_path / split / "dog" / name, format="PNG")
    dataset, note = load_with_note(tmp_path)
    assert dataset.fingerprint() == expected
    assert "left out 6 hidden or of the system" in note


def test_what_is_no_image_is_left_out_with_one_note(tmp_path):
    cat = helpers.write_folder(tmp_path / "pets", images=2) / "train" / "cat"
    for name in ("a.txt", "b.txt", "BMW.md", "noname"):
        (cat / name).write_text("BMW II* P6")
    os.mkfifo(cat / "pipe")
    (cat / "link.txt").symlink_to("nowhere")
    (cat / "up").symlink_to(tmp_path)
    (cat / "self").symlink_to("self")
    helpers.write_image(tmp_path / "pets" / "test" / "loose.png")
    dataset, note = load_with_note(tmp_path / "pets")
    assert dataset.train_images.shape[0] == 4
    assert note == (
        "folder-pets: read 4 and 4 images; left out 3 without an image (.txt), 3 "
        "without an image (no suffix), 1 without an image (.md), 1 links to folders, "
        "1 outside the class folders"
    )


def test_names_need_not_be_utf_8(tmp_path):
    root = pathlib.Path(os.fsdecode(os.fsencode(tmp_path) + b"/p\xe9ts \xff"))
    helpers.write_folder(root)
    for value, split in enumerate(("train", "test")):
        helpers.write_image(root / split / "k\udce4se" / "\udcff.png", (value, 0, 0))
    (root / "train" / "cat" / "\udcfe.txt\udcfd").write_text("")
    dataset, note = load_with_note(root)
    assert dataset.class_names == ("cat", "dog", "k\udce4se")
    note.encode()
    dataset.fingerprint()
    (root / "train" / "cat" / "bad\udcff.png").write_bytes(b"")
    with helpers.usage_error("bad\\udcff.png (it is empty)") as caught:
        helpers.load_folder(root)
    str(caught.value).encode()
