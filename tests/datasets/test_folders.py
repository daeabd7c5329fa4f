"""Folders of images: layouts, what is left out, and what is refused."""

import os
import pathlib
import shutil

import numpy as np
import pytest

from normtest_tf import datasets
from normtest_tf.datasets import images
from tests.datasets import helpers


def reds(pixels):
    return sorted(np.asarray(pixels)[:, 0, 0, 0].tolist())


def write_classes(root, counts):
    """Writes PATH/CLASS/: images of a class's own red values."""
    for number, (name, count) in enumerate(counts.items()):
        for index in range(count):
            value = (50 * number + index, 0, 0)
            helpers.write_image(root / name / f"{index}.png", value)
    return root


def test_a_folder_gives_images_labels_and_class_names(tmp_path):
    notes = []
    root = helpers.write_folder(tmp_path / "pets")
    dataset = datasets.load(f"folder:{root}", notify=notes.append)
    assert dataset.name == "folder-pets"
    assert dataset.class_names == ("cat", "dog")
    assert dataset.image_shape == (helpers.SIZE, helpers.SIZE, 3)
    for pixels, labels, first in (
        (dataset.train_images, dataset.train_labels, 0),
        (dataset.test_images, dataset.test_labels, 100),
    ):
        values = pixels[:, 0, 0, 0].astype(int) - first
        assert sorted(values) == [10, 11, 12, 20, 21, 22]
        np.testing.assert_array_equal(labels, values >= 20)
    assert notes == []


def test_images_are_ordered_by_their_sorted_names_permuted(tmp_path):
    dataset = helpers.load_folder(helpers.write_folder(tmp_path, images=20))
    values = [10 + index for index in range(20)] + [20 + index for index in range(20)]
    names = [f"train/{c}/{i}.png" for c in ("cat", "dog") for i in range(20)]
    by_name = [value for _, value in sorted(zip(names, values, strict=True))]
    expected = np.array(by_name)[np.random.RandomState(0).permutation(40)]
    np.testing.assert_array_equal(dataset.train_images[:, 0, 0, 0], expected)
    assert set(dataset.train_labels[:8]) == {0, 1}


def test_the_first_of_the_usual_names_is_tested_on_with_a_note_on_others(tmp_path):
    helpers.write_folder(tmp_path, test="valid")
    shutil.copytree(tmp_path / "valid", tmp_path / "validation")
    (tmp_path / "docs").mkdir()
    dataset, note = helpers.load_with_note(tmp_path)
    assert min(reds(dataset.test_images)) == 110
    assert "1 of another split (validation)" in note


def test_a_folder_may_be_named_relative_to_the_working_directory(tmp_path, monkeypatch):
    helpers.write_folder(tmp_path / "pets")
    monkeypatch.chdir(tmp_path / "pets")
    assert helpers.load_folder(".").name == "folder-pets"


@pytest.mark.parametrize("resize", datasets.RESIZES)
def test_images_of_other_sizes_are_resized(tmp_path, resize):
    helpers.write_folder(tmp_path, images=1)
    path = tmp_path / "train" / "cat" / "0.png"
    pixels = np.random.default_rng(0).integers(0, 256, (12, 31, 3), np.uint8)
    helpers.write_pixels(path, pixels)
    with helpers.usage_error("4x4", "31x12", "train/cat/0.png", "--image_size"):
        helpers.load_folder(tmp_path)
    options = datasets.ReadingOptions(image_size=8, resize=resize)
    dataset = datasets.load(f"folder:{tmp_path}", options)
    cat = dataset.train_images[dataset.train_labels == 0][0]
    np.testing.assert_array_equal(cat, images.resized(pixels, 8, resize))


def test_oblong_images_need_image_size(tmp_path):
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            helpers.write_image(tmp_path / split / name / "0.png", size=(6, 4))
    with helpers.usage_error("are not square", "6x4", "--image_size"):
        helpers.load_folder(tmp_path)


def test_a_folder_of_classes_is_divided(tmp_path):
    root = write_classes(tmp_path / "pets", {"cat": 10, "dog": 20, "eel": 2})
    dataset = datasets.load(f"folder:{root}")
    assert dataset.class_names == ("cat", "dog", "eel")
    assert np.bincount(dataset.test_labels).tolist() == [2, 4, 1]
    assert np.bincount(dataset.train_labels).tolist() == [8, 16, 1]
    pixels = np.concatenate([dataset.train_images, dataset.test_images])
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    np.testing.assert_array_equal(pixels[:, 0, 0, 0] // 50, labels)
    assert len(set(reds(pixels))) == 32
    assert dataset.division == "0.2 of each class for testing, drawn with seed 0"


def test_the_division_depends_on_the_split_seed_alone(tmp_path):
    root = write_classes(tmp_path, {"cat": 10, "dog": 10})

    def tested(**options):
        reading = datasets.ReadingOptions(**options)
        return reds(datasets.load(f"folder:{root}", reading).test_images)

    assert tested(split_seed=5) == tested(split_seed=5)
    assert tested(split_seed=5) != tested(split_seed=6)
    assert len(tested(test_fraction=0.5)) == 10


def test_splits_can_be_named(tmp_path):
    helpers.write_folder(tmp_path, test="Testing")
    with helpers.usage_error("no test split", "Testing, train", "--test_split"):
        helpers.load_folder(tmp_path)
    options = datasets.ReadingOptions(train_split="Testing", test_split="train")
    dataset = datasets.load(f"folder:{tmp_path}", options)
    assert max(reds(dataset.test_images)) == 22
    (tmp_path / "train").rename(tmp_path / "Training")
    with helpers.usage_error("Testing and Training", "look like splits"):
        helpers.load_folder(tmp_path)


def test_how_to_divide_changes_nothing_where_there_is_a_test_split(tmp_path):
    helpers.write_folder(tmp_path)
    for name in (f"folder:{tmp_path}", "digits"):
        notes = []
        options = datasets.ReadingOptions(test_fraction=0.5)
        dataset = datasets.load(name, options, notes.append)
        assert "--test_fraction and --split_seed change nothing" in notes[0]
        assert dataset.division is None


def remove(path):
    shutil.rmtree(path)


def link_to_train(root):
    shutil.rmtree(root / "test")
    (root / "test").symlink_to(root / "train")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda root: remove(root), ("does not exist", "train/CLASS")),
        (lambda root: remove(root / "train"), ("no train split, only test",)),
        (lambda root: remove(root / "test"), ("no test split, only train",)),
        (lambda root: remove(root / "train" / "dog"), ("one of", "only: dog")),
        (lambda root: remove(root / "test" / "cat"), ("one of", "only: cat")),
        (
            lambda root: [remove(root / split / "cat") for split in ("train", "test")],
            ("only one class, 'dog'",),
        ),
        (
            lambda root: [remove(root / "test" / name) for name in ("cat", "dog")],
            ("test has no class folders",),
        ),
        (
            lambda root: (root / "train" / "cow").mkdir(),
            ("class folder", "train/cow contains no images"),
        ),
    ],
)
def test_a_layout_that_can_not_be_used_is_refused(tmp_path, change, words):
    change(helpers.write_folder(tmp_path / "pets"))
    with helpers.usage_error(tmp_path / "pets", *words):
        helpers.load_folder(tmp_path / "pets")


def test_what_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("link")
    for name, words in (
        ("file", "is not a folder"),
        ("link", "does not exist"),
        ("x" * 300, "does not exist"),
    ):
        with helpers.usage_error(name, words):
            helpers.load_folder(tmp_path / name)


def test_the_first_ten_bad_images_are_named_with_their_number(tmp_path):
    helpers.write_folder(tmp_path)
    for index in range(11):
        (tmp_path / "train" / "cat" / f"bad{index}.jpg").write_bytes(b"")
    (tmp_path / "test" / "dog" / "bad.webp").write_bytes(b"\0\0\0\x18ftypheic")
    with helpers.usage_error(
        f"12 of 24 images in {tmp_path} can't be used: test/dog/bad.webp (Pillow can't",
        "train/cat/bad0.jpg (it is empty), ",
        "bad10.jpg",
        "bad7.jpg (it is empty), and 2 more. Repair or remove them",
    ) as caught:
        helpers.load_folder(tmp_path)
    assert "bad8.jpg" not in str(caught.value)


def test_test_images_among_the_training_images_are_counted(tmp_path):
    helpers.write_folder(tmp_path)
    shutil.copy(tmp_path / "train/cat/0.png", tmp_path / "test/cat/again.png")
    _, note = helpers.load_with_note(tmp_path)
    assert "1 of 7 test images is among the training images" in note


def test_images_are_found_by_content_and_in_nested_folders(tmp_path):
    cat = helpers.write_folder(tmp_path, images=1) / "train" / "cat"
    helpers.write_image(cat / "a.BMP", (30, 0, 0))
    helpers.write_image(cat / "b.jpg", (31, 0, 0), format="GIF")
    helpers.write_image(cat / "c.data", (32, 0, 0), format="PNG")
    helpers.write_image(cat / "hash", (33, 0, 0), format="PNG")
    helpers.write_image(cat / "more.png" / "and more" / "d.png", (34, 0, 0))
    dataset = helpers.load_folder(tmp_path)
    assert reds(dataset.train_images) == [10, 20, *range(30, 35)]


SYSTEM = [".hidden", "__MACOSX", "@eaDir", ".ipynb_checkpoints", "._x.jpg"]
SYSTEM += ["Thumbs.db", "desktop.ini", "System Volume Information", "THUMBS.DB"]


@pytest.mark.parametrize("name", SYSTEM)
def test_hidden_and_system_entries_are_left_out_everywhere(tmp_path, name):
    expected = helpers.load_folder(helpers.write_folder(tmp_path)).fingerprint()
    helpers.write_image(tmp_path / name / "ant" / "0.png")
    for split in ("train", "test"):
        helpers.write_image(tmp_path / split / name / "0.png")
        helpers.write_image(tmp_path / split / "cat" / name / "0.png")
        helpers.write_image(tmp_path / split / "dog" / name, format="PNG")
    dataset, note = helpers.load_with_note(tmp_path)
    assert dataset.fingerprint() == expected
    assert "left out 6 hidden or of the system" in note


def test_what_is_no_image_is_left_out_with_one_note(tmp_path):
    cat = helpers.write_folder(tmp_path / "pets", images=2) / "train" / "cat"
    for name in ("a.txt", "b.txt", "BMW.md", "noname"):
        (cat / name).write_text("BMW II* P6")
    os.mkfifo(cat / "pipe")
    (cat / "link.txt").symlink_to("nowhere")
    helpers.write_image(tmp_path / "pets" / "test" / "loose.png")
    dataset, note = helpers.load_with_note(tmp_path / "pets")
    assert dataset.train_images.shape[0] == 4
    assert note == (
        "folder-pets: read 4 and 4 images; left out 3 without an image (.txt), 2 "
        "without an image (no suffix), 1 without an image (.md), 1 outside the class "
        "folders"
    )


def test_links_to_folders_elsewhere_are_followed_once(tmp_path):
    cat = helpers.write_folder(tmp_path / "pets", images=1) / "train" / "cat"
    elsewhere = tmp_path / "outer" / "elsewhere"
    helpers.write_image(elsewhere / "x.png", (99, 0, 0))
    (elsewhere / "loop").symlink_to(tmp_path)
    (cat / "again").symlink_to(elsewhere)
    (cat / "more").symlink_to(elsewhere)
    dataset = helpers.load_folder(tmp_path / "pets")
    assert reds(dataset.train_images) == [10, 20, 99]


def test_links_that_lead_back_are_left_out(tmp_path):
    root = helpers.write_folder(tmp_path)
    (root / "train" / "self").symlink_to("self")
    (root / "train" / "parent").symlink_to(root / "train")
    (root / "train" / "cat" / "up").symlink_to(root)
    (root / "train" / "cat" / "sub").mkdir()
    (root / "train" / "cat" / "sub" / "again").symlink_to(root / "train" / "cat")
    (root / "train" / "cat" / "sub" / "dogs").symlink_to(root / "train" / "dog")
    dataset, note = helpers.load_with_note(root)
    assert len(dataset.train_labels) == 6
    assert "3 links that lead back, 2 outside the class folders" in note


def test_names_need_not_be_utf_8(tmp_path):
    root = os.fsdecode(os.fsencode(tmp_path) + b"/p\xe9ts \xff")
    helpers.write_folder(pathlib.Path(root))
    for value, split in enumerate(("train", "test")):
        path = pathlib.Path(root, split, "k\udce4se", "\udcff.png")
        helpers.write_image(path, (value, 0, 0))
    pathlib.Path(root, "train", "cat", "\udcfe.txt\udcfd").write_text("")
    dataset, note = helpers.load_with_note(root)
    assert dataset.class_names == ("cat", "dog", "k\udce4se")
    note.encode()
    dataset.fingerprint()
    pathlib.Path(root, "train", "cat", "bad\udcff.png").write_bytes(b"")
    with helpers.usage_error("bad\\udcff.png (it is empty)") as caught:
        helpers.load_folder(root)
    str(caught.value).encode()
