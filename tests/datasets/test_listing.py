"""Which files of a folder are read, and what is left out with one note."""

import os
import pathlib
import shutil

import pytest

from normtest_tf import datasets, errors
from tests.datasets import helpers


def test_nothing_is_noted_where_nothing_is_left_out(tmp_path):
    notes = []
    helpers.write_folder(tmp_path)
    datasets.load(f"folder:{tmp_path}", notify=notes.append)
    assert notes == []


def test_images_are_told_by_their_content_and_read_from_nested_folders(tmp_path):
    cat = helpers.write_folder(tmp_path, images=1) / "train" / "cat"
    helpers.write_image(cat / "a.webp", (30, 0, 0), lossless=True)
    helpers.write_image(cat / "b.BMP", (31, 0, 0))
    helpers.write_image(cat / "c.tif", (32, 0, 0))
    helpers.write_image(cat / "d.gif", (33, 0, 0))
    helpers.write_image(cat / "e.jpg", (34, 0, 0), format="GIF")
    helpers.write_image(cat / "f.data", (35, 0, 0), format="PNG")
    helpers.write_image(cat / "hash", (36, 0, 0), format="PNG")
    helpers.write_image(cat / "more.png" / "and more" / "g.png", (37, 0, 0))
    dataset = helpers.load_folder(tmp_path)
    cats = dataset.train_images[dataset.train_labels == 0][:, 0, 0, 0]
    assert sorted(cats) == [10, *range(30, 38)]


@pytest.mark.parametrize("suffix", [".ico", ".tga"])
def test_pictures_of_formats_that_are_not_read_stop_the_run(tmp_path, suffix):
    helpers.write_folder(tmp_path)
    helpers.write_image(tmp_path / "train" / "cat" / f"x{suffix}")
    with pytest.raises(errors.UsageError, match=rf"x\{suffix} is .*not"):
        helpers.load_folder(tmp_path)


def test_links_to_folders_elsewhere_are_followed(tmp_path):
    helpers.write_folder(tmp_path / "pets", images=1)
    elsewhere = tmp_path / "outer" / "elsewhere"
    helpers.write_image(tmp_path / "outer" / "other.png")
    helpers.write_image(elsewhere / "x.png", (99, 0, 0))
    (elsewhere / "loop").symlink_to(tmp_path)
    (elsewhere / "up").symlink_to(tmp_path / "outer")
    (tmp_path / "pets/train/cat/again").symlink_to(elsewhere)
    (tmp_path / "pets/train/cat/more").symlink_to(elsewhere)
    dataset = helpers.load_folder(tmp_path / "pets")
    assert sorted(dataset.train_images[:, 0, 0, 0]) == [10, 20, 99]


SYSTEM = [".hidden", "__MACOSX", "@eaDir", ".thumbnails", ".ipynb_checkpoints"]
SYSTEM += ["._x.jpg", "Thumbs.db", "desktop.ini", "$RECYCLE.BIN", "lost+found"]
SYSTEM += ["System Volume Information", "#recycle", ".DS_Store", "THUMBS.DB"]


@pytest.mark.parametrize("name", SYSTEM)
def test_hidden_and_system_entries_are_left_out_everywhere(tmp_path, name):
    expected = helpers.load_folder(helpers.write_folder(tmp_path)).fingerprint()
    helpers.write_image(tmp_path / name / "ant" / "0.png")
    for split in ("train", "test"):
        helpers.write_image(tmp_path / split / name / "0.png")
        helpers.write_image(tmp_path / split / "cat" / name / "0.png")
        helpers.write_image(tmp_path / split / "dog" / "0.png", (1, 2, 3))
        helpers.write_image(tmp_path / split / "dog" / name, format="PNG")
    helpers.write_folder(tmp_path)
    dataset, note = helpers.load_with_note(tmp_path)
    assert dataset.fingerprint() == expected
    assert "left out 6 hidden or system entries" in note


def test_files_that_are_no_images_are_left_out_with_one_line(tmp_path):
    helpers.write_folder(tmp_path / "pets", images=2)
    cat = tmp_path / "pets" / "train" / "cat"
    for name in ("a.txt", "b.json", "c.txt", "d.xml", "BMW.md", "noname"):
        (cat / name).write_text("BMW II* P6")
    (cat / "clip.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    (cat / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    helpers.write_image(tmp_path / "pets" / "test" / "loose.png")
    dataset, note = helpers.load_with_note(tmp_path / "pets")
    assert dataset.train_images.shape[0] == 4
    assert note == (
        "folder-pets: read 4 images of train and 4 of test; left out 1 hidden or "
        "system entry, 7 files without an image (.json, .md, .mp4, .txt, .xml, ...), "
        "1 file outside the class folders"
    )


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
    bad = pathlib.Path(root, "train", "cat", "bad\udcff.png")
    bad.write_bytes(b"")
    with helpers.usage_error("bad\\udcff.png is empty") as caught:
        helpers.load_folder(root)
    str(caught.value).encode()


def test_of_two_names_for_the_test_split_one_is_taken_with_a_note(tmp_path):
    helpers.write_folder(tmp_path, test="valid")
    shutil.copytree(tmp_path / "valid", tmp_path / "validation")
    _, note = helpers.load_with_note(tmp_path)
    assert "6 of valid" in note
    assert "the folder validation, since valid is the test set" in note


def test_pipes_and_dangling_links_without_it_are_left_out(tmp_path):
    cat = helpers.write_folder(tmp_path) / "train" / "cat"
    os.mkfifo(cat / "pipe")
    (cat / "link.txt").symlink_to("nowhere")
    _, note = helpers.load_with_note(tmp_path)
    assert "2 files without an image (.txt, no suffix)" in note


def test_links_that_form_a_loop_are_not_followed_for_ever(tmp_path):
    helpers.write_folder(tmp_path)
    (tmp_path / "train" / "self").symlink_to("self")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "train" / "cat" / "up").symlink_to(tmp_path)
    (tmp_path / "train" / "cat" / "sub").mkdir()
    (tmp_path / "train" / "cat" / "sub" / "again").symlink_to(tmp_path / "train/cat")
    (tmp_path / "train" / "cat" / "sub" / "dogs").symlink_to(tmp_path / "train/dog")
    dataset, note = helpers.load_with_note(tmp_path)
    assert len(dataset.train_labels) == 6
    assert "3 links to folders that are read already or lead back" in note
    (tmp_path / "train" / "parent").symlink_to(tmp_path / "train")
    with helpers.usage_error(tmp_path / "train" / "parent", "contains no"):
        helpers.load_folder(tmp_path)
