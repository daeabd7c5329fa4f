"""Folders of images: layouts, what is left out and every way they can fail."""

import io
import os
import shutil
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from normtest_tf import errors
from normtest_tf.datasets import decoding
from tests.datasets import helpers


def test_a_folder_gives_images_labels_and_class_names(tmp_path):
    dataset = helpers.load_folder(helpers.write_folder(tmp_path / "pets"))
    assert dataset.name == "folder-pets"
    assert dataset.class_names == ("cat", "dog")
    assert dataset.image_shape == (helpers.SIZE, helpers.SIZE, 3)
    for images, labels, first in (
        (dataset.train_images, dataset.train_labels, 0),
        (dataset.test_images, dataset.test_labels, 100),
    ):
        values = images[:, 0, 0, 0].astype(int) - first
        assert sorted(values) == [10, 11, 12, 20, 21, 22]
        np.testing.assert_array_equal(labels, values >= 20)


def test_images_are_ordered_by_their_sorted_names_permuted(tmp_path):
    dataset = helpers.load_folder(helpers.write_folder(tmp_path, images=20))
    values = [10 + index for index in range(20)] + [20 + index for index in range(20)]
    names = [f"train/{c}/{i}.png" for c in ("cat", "dog") for i in range(20)]
    by_name = [value for _, value in sorted(zip(names, values, strict=True))]
    expected = np.array(by_name)[np.random.RandomState(0).permutation(40)]
    np.testing.assert_array_equal(dataset.train_images[:, 0, 0, 0], expected)
    assert set(dataset.train_labels[:8]) == {0, 1}


@pytest.mark.parametrize("split", ["val", "valid", "validation"])
def test_other_names_are_used_where_there_is_no_test(tmp_path, split):
    dataset = helpers.load_folder(helpers.write_folder(tmp_path, test=split))
    assert dataset.test_images[:, 0, 0, 0].min() == 110


def test_test_is_preferred_to_val_and_other_folders_are_ignored(tmp_path):
    helpers.write_folder(tmp_path)
    helpers.write_image(tmp_path / "val" / "bird" / "0.png")
    helpers.write_image(tmp_path / ".thumbs" / "ant" / "0.png")
    (tmp_path / "docs" / "html").mkdir(parents=True)
    (tmp_path / "train" / "README.txt").write_text("not a class")
    dataset = helpers.load_folder(tmp_path)
    assert dataset.class_names == ("cat", "dog")
    np.testing.assert_array_equal(
        dataset.train_labels, dataset.train_images[:, 0, 0, 0] >= 20
    )


def test_a_folder_may_be_named_relative_to_the_working_directory(tmp_path, monkeypatch):
    helpers.write_folder(tmp_path / "pets")
    monkeypatch.chdir(tmp_path)
    assert len(helpers.load_folder("pets").train_labels) == 6
    monkeypatch.chdir(tmp_path / "pets")
    assert helpers.load_folder(".").name == "folder-pets"


def test_every_colour_mode_and_suffix_becomes_rgb(tmp_path):
    helpers.write_folder(tmp_path, images=1)
    cat = tmp_path / "train" / "cat"
    (cat / "0.png").unlink()
    helpers.write_image(cat / "grey.PNG", 77, mode="L")
    helpers.write_image(cat / "grey_alpha.png", (78, 9), mode="LA")
    helpers.write_image(cat / "bilevel.png", 1, mode="1")
    helpers.write_image(cat / "alpha.png", (1, 2, 3, 0), mode="RGBA")
    palette = PIL.Image.new("RGB", (helpers.SIZE, helpers.SIZE), (4, 5, 6)).quantize(2)
    palette.save(cat / "palette.png")
    helpers.write_image(cat / "cmyk.jpeg", (0, 255, 255, 0), mode="CMYK", quality=100)
    helpers.write_image(cat / "rgb.JPG", (40, 50, 60), quality=100)
    dataset = helpers.load_folder(tmp_path)
    found = {tuple(map(int, image[0, 0])) for image in dataset.train_images}
    cmyk = np.asarray(PIL.Image.open(cat / "cmyk.jpeg").convert("RGB"))[0, 0]
    jpeg = np.asarray(PIL.Image.open(cat / "rgb.JPG"))[0, 0]
    assert cmyk[0] > 200 > 50 > cmyk[1]
    assert found == {
        (77, 77, 77),
        (78, 78, 78),
        (255, 255, 255),
        (1, 2, 3),
        (4, 5, 6),
        tuple(map(int, cmyk)),
        tuple(map(int, jpeg)),
        (20, 0, 0),
    }


def test_images_of_another_size_are_resized_bilinearly(tmp_path):
    helpers.write_folder(tmp_path, images=1)
    path = tmp_path / "train" / "cat" / "0.png"
    gradient = PIL.Image.linear_gradient("L").crop((0, 0, 256, 128))
    gradient.save(path)
    dataset = helpers.load_folder(tmp_path, image_size=8)
    assert dataset.image_shape == (8, 8, 3)
    expected = gradient.convert("RGB").resize((8, 8), PIL.Image.Resampling.BILINEAR)
    cat = dataset.train_images[dataset.train_labels == 0][0]
    np.testing.assert_array_equal(cat, np.asarray(expected))
    assert cat[0, 0, 0] < cat[-1, 0, 0]


def test_images_of_several_sizes_need_image_size(tmp_path):
    helpers.write_folder(tmp_path)
    helpers.write_image(tmp_path / "test" / "dog" / "1.png", size=(6, 6))
    with helpers.usage_error("4x4", "6x6", "test/dog/1.png", "train/", "--image_size"):
        helpers.load_folder(tmp_path)


def test_oblong_images_need_image_size(tmp_path):
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            helpers.write_image(tmp_path / split / name / "0.png", size=(6, 4))
    with helpers.usage_error("6x4", "--image_size"):
        helpers.load_folder(tmp_path)
    assert helpers.load_folder(tmp_path, image_size=4).image_shape == (4, 4, 3)


def test_a_missing_folder_is_refused(tmp_path):
    with helpers.usage_error(tmp_path / "none", "does not exist", "train/CLASS"):
        helpers.load_folder(tmp_path / "none")


def test_a_path_that_no_system_has_is_refused(tmp_path):
    with helpers.usage_error("x" * 300, "does not exist"):
        helpers.load_folder(tmp_path / ("x" * 300))


def test_a_link_that_leads_to_itself_is_refused(tmp_path):
    (tmp_path / "link").symlink_to("link")
    with helpers.usage_error(tmp_path / "link", "does not exist"):
        helpers.load_folder(tmp_path / "link")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with helpers.usage_error(tmp_path / "file", "is not a folder"):
        helpers.load_folder(tmp_path / "file")


@pytest.mark.parametrize(
    ("removed", "message"),
    [("train", "no train"), ("test", "neither a test nor a val")],
)
def test_a_missing_split_is_refused(tmp_path, removed, message):
    shutil.rmtree(helpers.write_folder(tmp_path) / removed)
    with helpers.usage_error(tmp_path, message):
        helpers.load_folder(tmp_path)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_without_classes_is_refused(tmp_path, split):
    shutil.rmtree(helpers.write_folder(tmp_path) / split)
    helpers.write_image(tmp_path / split / "loose.png")
    with helpers.usage_error(tmp_path / split, "no class folders"):
        helpers.load_folder(tmp_path)


@pytest.mark.parametrize("name", ["", "notes.txt", ".hidden.png", "Thumbs.db"])
def test_a_class_without_images_is_refused(tmp_path, name):
    bird = helpers.write_folder(tmp_path) / "train" / "bird"
    bird.mkdir()
    if name:
        (bird / name).write_text("no image")
    with helpers.usage_error(bird, "contains no images", "left out" if name else ""):
        helpers.load_folder(tmp_path)


def test_splits_with_different_classes_are_refused(tmp_path):
    helpers.write_folder(tmp_path)
    helpers.write_image(tmp_path / "train" / "bird" / "0.png")
    helpers.write_image(tmp_path / "test" / "fish" / "0.png")
    with helpers.usage_error("Only in train: bird", "only in test: fish"):
        helpers.load_folder(tmp_path)


def test_a_single_class_is_refused(tmp_path):
    helpers.write_folder(tmp_path)
    shutil.rmtree(tmp_path / "train" / "dog")
    shutil.rmtree(tmp_path / "test" / "dog")
    with helpers.usage_error("one class, 'cat'"):
        helpers.load_folder(tmp_path)


def image_bytes(kind, size=(32, 32)):
    noise = np.random.RandomState(0).randint(0, 256, [*size, 3], np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


def bomb_bytes(side):
    """Returns a PNG of a few bytes whose header declares side x side pixels."""

    def chunk(kind, data):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"not an image", "is text, not an image"),
        (image_bytes("png")[:1000], "is truncated (1000 bytes)"),
        (image_bytes("png")[:20], "is truncated (20 bytes)"),
        (
            image_bytes("png")[:-300] + bytes(288) + image_bytes("png")[-12:],
            "can't be decoded",
        ),
    ],
    ids=["empty", "text", "truncated", "header_only", "corrupt"],
)
def test_an_undecodable_image_is_named(tmp_path, content, words):
    helpers.write_folder(tmp_path)
    path = tmp_path / "test" / "cat" / "bad.png"
    path.write_bytes(content)
    with helpers.usage_error(path, words):
        helpers.load_folder(tmp_path)


def test_the_first_ten_bad_images_are_named_with_their_count(tmp_path):
    helpers.write_folder(tmp_path)
    for index in range(9):
        (tmp_path / "train" / "cat" / f"bad{index}.jpg").write_bytes(b"")
        (tmp_path / "test" / "dog" / f"bad{index}.webp").write_bytes(b"<html>")
    (tmp_path / "test" / "dog" / "bad8.webp").write_bytes(b"\0\0\0\x18ftypheic")
    with helpers.usage_error(
        f"18 of 30 images in {tmp_path} can't be used",
        "test/dog/bad0.webp is a web page, not the file itself: download it again; ",
        "test/dog/bad8.webp is HEIC, which is not read here: convert it to PNG or JPEG",
        "train/cat/bad0.jpg is empty; and 8 more. Repair or remove them",
    ) as caught:
        helpers.load_folder(tmp_path)
    assert "bad1.jpg" not in str(caught.value)


@pytest.mark.parametrize("side", [9_460, 20_000], ids=["warning", "error"])
@pytest.mark.filterwarnings("default::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_named(tmp_path, side, recwarn):
    helpers.write_folder(tmp_path)
    path = tmp_path / "train" / "cat" / "bomb.png"
    path.write_bytes(bomb_bytes(side))
    with helpers.usage_error(path, "decompression bomb"):
        helpers.load_folder(tmp_path)
    assert not recwarn.list


def test_a_decompression_bomb_is_refused_without_pillows_limit(monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", None)
    with helpers.usage_error("bomb.png", "decompression bomb"):
        decoding.decode(bomb_bytes(20_000), "bomb.png", image_size=32)


def test_a_16_bit_image_is_refused(tmp_path):
    helpers.write_folder(tmp_path)
    path = tmp_path / "train" / "cat" / "deep.png"
    PIL.Image.fromarray(np.full([helpers.SIZE, helpers.SIZE], 3000, np.uint16)).save(
        path
    )
    with helpers.usage_error(path, "more than 8 bits"):
        helpers.load_folder(tmp_path)


def test_pipes_and_dangling_links_with_the_suffix_of_an_image_are_refused(tmp_path):
    helpers.write_folder(tmp_path)
    for name, words, make in (
        ("pipe.png", "not a file", os.mkfifo),
        ("link.png", "No such file", lambda path: path.symlink_to("nowhere.png")),
    ):
        path = tmp_path / "train" / "cat" / name
        make(path)
        with helpers.usage_error(path, words):
            helpers.load_folder(tmp_path)
        path.unlink()


def test_reading_leaves_the_folder_as_it_was(tmp_path):
    before = sorted(helpers.write_folder(tmp_path).rglob("*"))
    helpers.load_folder(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_broken_link_to_a_class_is_refused(tmp_path):
    helpers.write_folder(tmp_path)
    for split in ("train", "test"):
        (tmp_path / split / "emu").symlink_to(tmp_path / "unmounted")
    with pytest.raises(errors.UsageError, match="emu is a broken link"):
        helpers.load_folder(tmp_path)


def test_a_test_folder_that_is_the_train_folder_is_refused(tmp_path):
    helpers.write_folder(tmp_path)
    shutil.rmtree(tmp_path / "test")
    (tmp_path / "test").symlink_to(tmp_path / "train")
    with pytest.raises(errors.UsageError, match="test is the train folder"):
        helpers.load_folder(tmp_path)


def test_two_classes_in_one_folder_are_refused(tmp_path):
    helpers.write_folder(tmp_path)
    for split in ("train", "test"):
        (tmp_path / split / "emu").symlink_to(tmp_path / split / "cat")
    with pytest.raises(errors.UsageError, match=r"'cat' and 'emu' in .* the same"):
        helpers.load_folder(tmp_path)
