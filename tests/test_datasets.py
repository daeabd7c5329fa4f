"""The data sets: what is read, in which order, and every way it can fail."""

import contextlib
import dataclasses
import io
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import PIL.Image
import pytest

from normtest_tf import datasets, errors, normalization
from normtest_tf.datasets import decoding, image_dataset, tfds_sets

SIZE = 4


def make_dataset(train_labels=(0, 0, 0, 0, 1, 1, 1, 1), name="made"):
    train_labels = np.array(train_labels, np.int32)
    n = len(train_labels)
    images = np.arange(n, dtype=np.uint8)[:, None, None, None]
    return datasets.ImageDataset(
        name=name,
        train_images=np.broadcast_to(images, [n, SIZE, SIZE, 3]).copy(),
        train_labels=train_labels,
        test_images=np.full([3, SIZE, SIZE, 3], 200, np.uint8),
        test_labels=np.array([0, 1, 1], np.int32),
        class_names=("cat", "dog"),
    )


def write_image(path, value=0, size=(SIZE, SIZE), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new(mode, size, value).save(path, **options)


def write_folder(root, test="test", images=3):
    """Writes classes cat (red values 10, 11, ...) and dog (20, 21, ...)."""
    for split, first in (("train", 0), (test, 100)):
        for name, base in (("cat", 10), ("dog", 20)):
            for index in range(images):
                value = (first + base + index, 0, 0)
                write_image(root / split / name / f"{index}.png", value)
    return root


def load_folder(root, image_size=None):
    return datasets.load(f"folder:{root}", image_size=image_size)


@contextlib.contextmanager
def usage_error(*words):
    """Expects a `UsageError` of one line that holds every one of `words`."""
    with pytest.raises(errors.UsageError) as caught:
        yield
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message


# The registry.


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
    with usage_error("cifar11", "'cifar10'", "folder:PATH"):
        function("cifar11")


@pytest.mark.parametrize("name", ["folder:", "folder: "])
def test_folder_without_path(name):
    with usage_error("lacks its path"):
        datasets.load(name)


@pytest.mark.parametrize("size", [0, -1, 1025])
def test_image_size_out_of_range(size, tmp_path):
    with usage_error("image_size", size):
        load_folder(write_folder(tmp_path), image_size=size)


def test_image_size_of_fixed_dataset():
    with usage_error("image_size", "32", "64"):
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


# A data set in memory.


def test_properties():
    dataset = make_dataset()
    assert dataset.num_classes == 2
    assert dataset.image_shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"train_images": np.zeros([8, SIZE, SIZE, 3], np.float32)},
        {"train_images": np.zeros([8, SIZE, SIZE, 1], np.uint8)},
        {"test_images": np.zeros([3, SIZE, SIZE + 1, 3], np.uint8)},
        {"test_labels": np.zeros([3], np.int64)},
        {"test_labels": np.zeros([2], np.int32)},
        {"test_labels": np.array([0, 1, 2], np.int32)},
        {"test_labels": np.array([0, 1, -1], np.int32)},
    ],
)
def test_inconsistent_arrays(change):
    with pytest.raises(ValueError, match="must be"):
        dataclasses.replace(make_dataset(), **change)


def test_fingerprint_is_stable():
    expected = "aba85d83201ff646d016f8a5263523e079bc7a14190757c5bf5b35835aad5dc8"
    assert make_dataset().fingerprint() == expected
    assert make_dataset(name="other").fingerprint() == expected
    every_other = make_dataset().train_images.repeat(2, axis=0)[::2]
    strided = dataclasses.replace(make_dataset(), train_images=every_other)
    assert strided.fingerprint() == expected


def test_fingerprint_sees_every_change():
    dataset = make_dataset()
    seen = {dataset.fingerprint()}
    for field in ("train_images", "train_labels", "test_images", "test_labels"):
        changed = getattr(dataset, field).copy()
        changed.flat[-1] ^= 1
        seen.add(dataclasses.replace(dataset, **{field: changed}).fingerprint())
    renamed = dataclasses.replace(dataset, class_names=("cat", "wolf"))
    reversed_images = dataclasses.replace(
        dataset, train_images=dataset.train_images[::-1]
    )
    seen |= {
        renamed.fingerprint(),
        reversed_images.fingerprint(),
        dataset.take(7).fingerprint(),
    }
    assert len(seen) == 8


def test_take():
    dataset = make_dataset()
    taken = dataset.take(5, 1)
    np.testing.assert_array_equal(taken.train_images, dataset.train_images[:5])
    np.testing.assert_array_equal(taken.train_labels, dataset.train_labels[:5])
    np.testing.assert_array_equal(taken.test_images, dataset.test_images[:1])
    assert taken.test_labels.tolist() == [0]
    assert len(dataset.take().train_images) == 8
    assert len(dataset.take(test_examples=3).test_images) == 3


@pytest.mark.parametrize("count", [0, -1, 9])
def test_take_out_of_range(count):
    with usage_error("train_examples", "1 to 8", count):
        make_dataset().take(train_examples=count)


def test_take_too_many_test_examples():
    with usage_error("test_examples", "1 to 3"):
        make_dataset().take(test_examples=4)


def test_split_validation_is_stratified_and_complete():
    dataset = make_dataset([0] * 30 + [1] * 60)
    rest, images, labels = datasets.split_validation(dataset, examples=30, seed=7)
    assert np.bincount(labels).tolist() == [10, 20]
    assert labels.dtype == np.int32
    assert images.dtype == np.uint8
    # Every image's pixels are its index, so nothing is lost, doubled or mislabelled.
    indices = np.concatenate([rest.train_images, images])[:, 0, 0, 0]
    np.testing.assert_array_equal(np.sort(indices), np.arange(90))
    np.testing.assert_array_equal(labels, images[:, 0, 0, 0] >= 30)
    np.testing.assert_array_equal(
        rest.train_labels, rest.train_images[:, 0, 0, 0] >= 30
    )
    assert np.all(np.diff(rest.train_images[:, 0, 0, 0].astype(int)) > 0)
    assert rest.test_images is dataset.test_images


@pytest.mark.parametrize("examples", [1, 2, 5, 33, 99])
def test_split_validation_has_exact_size(examples):
    dataset = make_dataset([0] * 33 + [1] * 67)
    rest, _, labels = datasets.split_validation(dataset, examples, seed=0)
    assert len(labels) == examples
    assert len(rest.train_labels) == 100 - examples
    assert abs(np.sum(labels == 0) - 0.33 * examples) < 1


def test_split_validation_depends_on_the_seed_alone():
    dataset = make_dataset([0, 1] * 50)

    def chosen(seed):
        return datasets.split_validation(dataset, 20, seed)[1][:, 0, 0, 0].tolist()

    assert chosen(1) == chosen(1)
    assert chosen(1) != chosen(2)
    assert chosen(1) != list(range(20))


@pytest.mark.parametrize("examples", [0, 8, -1])
def test_split_validation_out_of_range(examples):
    with usage_error("1 to 7", examples):
        datasets.split_validation(make_dataset(), examples, seed=0)


def test_mixed_order_depends_on_the_names_alone():
    names = [f"{label}/{index:02}.png" for label in "ab" for index in range(50)]
    order = [names[index] for index in image_dataset.mixed_order(names)]
    backwards = names[::-1]
    again = [backwards[index] for index in image_dataset.mixed_order(backwards)]
    assert order == again
    assert sorted(order) == names
    assert {name[0] for name in order[:10]} == {"a", "b"}


# Digits.


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def test_digits_match_their_description(digits):
    description = datasets.DATASETS["digits"]
    assert digits.train_images.shape == (description.train_examples, 32, 32, 3)
    assert digits.test_images.shape == (description.test_examples, 32, 32, 3)
    assert digits.class_names == tuple("0123456789")
    assert (digits.train_images.min(), digits.train_images.max()) == (0, 255)


def test_digits_are_scikit_learns_split(digits):
    import sklearn.datasets
    import sklearn.model_selection

    data = sklearn.datasets.load_digits()
    train, test = sklearn.model_selection.train_test_split(
        np.arange(1797), test_size=500, random_state=0, stratify=data.target
    )
    np.testing.assert_array_equal(digits.train_labels, data.target[train])
    np.testing.assert_array_equal(digits.test_labels, data.target[test])
    # Averaged over 4x4 blocks, bilinear enlargement stays near the original.
    for images, indices in ((digits.train_images, train), (digits.test_images, test)):
        blocks = images[..., 0].reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4))
        original = data.images[indices] * 255 / 16
        correlation = [
            np.corrcoef(block.ravel(), image.ravel())[0, 1]
            for block, image in zip(blocks, original, strict=True)
        ]
        assert min(correlation) > 0.9


def test_digits_are_stratified_grey_and_disjoint(digits):
    shares = np.bincount(digits.test_labels) / np.bincount(
        np.concatenate([digits.train_labels, digits.test_labels])
    )
    assert np.ptp(shares) < 0.01
    assert np.all(digits.train_images == digits.train_images[..., :1])
    train = {image.tobytes() for image in digits.train_images}
    test = {image.tobytes() for image in digits.test_images}
    assert len(train) == 1297
    assert len(test) == 500
    assert not train & test


# Folders.


def test_folder(tmp_path):
    dataset = load_folder(write_folder(tmp_path / "pets"))
    assert dataset.name == "folder-pets"
    assert dataset.class_names == ("cat", "dog")
    assert dataset.image_shape == (SIZE, SIZE, 3)
    for images, labels, first in (
        (dataset.train_images, dataset.train_labels, 0),
        (dataset.test_images, dataset.test_labels, 100),
    ):
        values = images[:, 0, 0, 0].astype(int) - first
        assert sorted(values) == [10, 11, 12, 20, 21, 22]
        np.testing.assert_array_equal(labels, values >= 20)


def test_folder_order_is_the_sorted_names_permuted(tmp_path):
    dataset = load_folder(write_folder(tmp_path, images=20))
    values = [10 + index for index in range(20)] + [20 + index for index in range(20)]
    names = [f"train/{c}/{i}.png" for c in ("cat", "dog") for i in range(20)]
    by_name = [value for _, value in sorted(zip(names, values, strict=True))]
    expected = np.array(by_name)[np.random.RandomState(0).permutation(40)]
    np.testing.assert_array_equal(dataset.train_images[:, 0, 0, 0], expected)
    assert set(dataset.train_labels[:8]) == {0, 1}


def test_folder_with_val_for_test(tmp_path):
    dataset = load_folder(write_folder(tmp_path, test="val"))
    assert dataset.test_images[:, 0, 0, 0].min() == 110


def test_folder_prefers_test_to_val_and_ignores_the_rest(tmp_path):
    write_folder(tmp_path)
    write_image(tmp_path / "val" / "bird" / "0.png")
    write_image(tmp_path / ".thumbs" / "ant" / "0.png")
    (tmp_path / "docs" / "html").mkdir(parents=True)
    (tmp_path / "train" / "README.txt").write_text("not a class")
    dataset = load_folder(tmp_path)
    assert dataset.class_names == ("cat", "dog")
    np.testing.assert_array_equal(
        dataset.train_labels, dataset.train_images[:, 0, 0, 0] >= 20
    )


def test_folder_named_relative_to_the_working_directory(tmp_path, monkeypatch):
    write_folder(tmp_path / "pets")
    monkeypatch.chdir(tmp_path)
    assert len(load_folder("pets").train_labels) == 6
    monkeypatch.chdir(tmp_path / "pets")
    assert load_folder(".").name == "folder-pets"


def test_folder_colour_modes_and_suffixes(tmp_path):
    write_folder(tmp_path, images=1)
    cat = tmp_path / "train" / "cat"
    (cat / "0.png").unlink()
    write_image(cat / "grey.PNG", 77, mode="L")
    write_image(cat / "grey_alpha.png", (78, 9), mode="LA")
    write_image(cat / "bilevel.png", 1, mode="1")
    write_image(cat / "alpha.png", (1, 2, 3, 0), mode="RGBA")
    palette = PIL.Image.new("RGB", (SIZE, SIZE), (4, 5, 6)).quantize(2)
    palette.save(cat / "palette.png")
    write_image(cat / "cmyk.jpeg", (0, 255, 255, 0), mode="CMYK", quality=100)
    write_image(cat / "rgb.JPG", (40, 50, 60), quality=100)
    dataset = load_folder(tmp_path)
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


def test_folder_resizes_those_that_differ(tmp_path):
    write_folder(tmp_path, images=1)
    path = tmp_path / "train" / "cat" / "0.png"
    gradient = PIL.Image.linear_gradient("L").crop((0, 0, 256, 128))
    gradient.save(path)
    dataset = load_folder(tmp_path, image_size=8)
    assert dataset.image_shape == (8, 8, 3)
    expected = gradient.convert("RGB").resize((8, 8), PIL.Image.Resampling.BILINEAR)
    cat = dataset.train_images[dataset.train_labels == 0][0]
    np.testing.assert_array_equal(cat, np.asarray(expected))
    assert cat[0, 0, 0] < cat[-1, 0, 0]


def test_folder_of_several_sizes(tmp_path):
    write_folder(tmp_path)
    write_image(tmp_path / "test" / "dog" / "1.png", size=(6, 6))
    with usage_error("4x4", "6x6", "test/dog/1.png", "train/", "--image_size"):
        load_folder(tmp_path)


def test_folder_of_oblong_images(tmp_path):
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            write_image(tmp_path / split / name / "0.png", size=(6, 4))
    with usage_error("6x4", "--image_size"):
        load_folder(tmp_path)
    assert load_folder(tmp_path, image_size=4).image_shape == (4, 4, 3)


def test_folder_missing(tmp_path):
    with usage_error(tmp_path / "none", "does not exist", "train/CLASS"):
        load_folder(tmp_path / "none")


def test_folder_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with usage_error(tmp_path / "file", "is not a folder"):
        load_folder(tmp_path / "file")


@pytest.mark.parametrize(
    ("removed", "message"),
    [("train", "no train"), ("test", "neither a test nor a val")],
)
def test_folder_without_split(tmp_path, removed, message):
    shutil.rmtree(write_folder(tmp_path) / removed)
    with usage_error(tmp_path, message):
        load_folder(tmp_path)


@pytest.mark.parametrize("split", ["train", "test"])
def test_folder_with_empty_split(tmp_path, split):
    shutil.rmtree(write_folder(tmp_path) / split)
    write_image(tmp_path / split / "loose.png")
    with usage_error(tmp_path / split, "no class folders"):
        load_folder(tmp_path)


def test_folder_with_empty_class(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "train" / "bird").mkdir()
    (tmp_path / "train" / "bird" / "0.gif").write_bytes(b"GIF89a")
    with usage_error(tmp_path / "train" / "bird", ".png, .jpg or .jpeg"):
        load_folder(tmp_path)


def test_folder_with_other_classes(tmp_path):
    write_folder(tmp_path)
    write_image(tmp_path / "train" / "bird" / "0.png")
    write_image(tmp_path / "test" / "fish" / "0.png")
    with usage_error("Only in train: bird", "only in test: fish"):
        load_folder(tmp_path)


def test_folder_with_one_class(tmp_path):
    write_folder(tmp_path)
    shutil.rmtree(tmp_path / "train" / "dog")
    shutil.rmtree(tmp_path / "test" / "dog")
    with usage_error("one class, 'cat'"):
        load_folder(tmp_path)


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
    "content",
    [
        b"",
        b"not an image",
        image_bytes("png")[:1000],
        image_bytes("png")[:20],
        image_bytes("png")[:-300] + bytes(288) + image_bytes("png")[-12:],
        image_bytes("gif"),
    ],
    ids=["empty", "text", "truncated", "header_only", "corrupt", "other_format"],
)
def test_folder_with_undecodable_image(tmp_path, content):
    write_folder(tmp_path)
    path = tmp_path / "test" / "cat" / "bad.png"
    path.write_bytes(content)
    with usage_error(path, "can't be decoded", f"{len(content)} bytes"):
        load_folder(tmp_path)


@pytest.mark.parametrize("side", [9_460, 20_000], ids=["warning", "error"])
@pytest.mark.filterwarnings("default::PIL.Image.DecompressionBombWarning")
def test_folder_with_decompression_bomb(tmp_path, side, recwarn):
    write_folder(tmp_path)
    path = tmp_path / "train" / "cat" / "bomb.png"
    path.write_bytes(bomb_bytes(side))
    with usage_error(path, "decompression bomb"):
        load_folder(tmp_path)
    assert not recwarn.list


def test_bomb_is_refused_where_pillow_has_no_limit(monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", None)
    with usage_error("bomb.png", "decompression bomb"):
        decoding.decode(bomb_bytes(20_000), "bomb.png", image_size=32)


def test_folder_with_16_bit_image(tmp_path):
    write_folder(tmp_path)
    path = tmp_path / "train" / "cat" / "deep.png"
    PIL.Image.fromarray(np.full([SIZE, SIZE], 3000, np.uint16)).save(path)
    with usage_error(path, "more than 8 bits"):
        load_folder(tmp_path)


def test_folder_with_pipe_directory_or_dangling_link(tmp_path):
    write_folder(tmp_path)
    for name, make in (
        ("pipe.png", os.mkfifo),
        ("folder.png", os.mkdir),
        ("link.png", lambda path: path.symlink_to("nowhere.png")),
    ):
        path = tmp_path / "train" / "cat" / name
        make(path)
        with usage_error(path, "not a file"):
            load_folder(tmp_path)
        path.rmdir() if path.is_dir() else path.unlink()


def test_folder_with_link_loops(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "train" / "self").symlink_to("self")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "train" / "cat" / "up").symlink_to(tmp_path)
    assert len(load_folder(tmp_path).train_labels) == 6
    (tmp_path / "train" / "parent").symlink_to(tmp_path / "train")
    with usage_error(tmp_path / "train" / "parent", "holds no"):
        load_folder(tmp_path)


def test_folder_is_left_as_it_was(tmp_path):
    before = sorted(write_folder(tmp_path).rglob("*"))
    load_folder(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


# Tiny ImageNet.

WNIDS = ("n02", "n01")


@pytest.fixture
def tiny(tmp_path):
    """An archive of two classes whose images are grey 10, 11, ... and 20, 21, ..."""
    root = tmp_path / "tiny-imagenet-200"
    for wnid in WNIDS:
        base = int(wnid[1:]) * 10
        for index in range(4):
            path = root / "train" / wnid / "images" / f"{wnid}_{index}.JPEG"
            write_image(path, base + index, (64, 64), "L", quality=100)
    lines = []
    for index, wnid in enumerate(("n01", "n02", "n02")):
        path = root / "val" / "images" / f"val_{index}.JPEG"
        write_image(path, (200, 100, 30 * index), (64, 64), quality=100)
        lines.append(f"val_{index}.JPEG\t{wnid}\t0\t32\t44\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    (root / "wnids.txt").write_text("\n".join(WNIDS) + "\n")
    (root / "words.txt").write_text("n01\tgoldfish, Carassius auratus\nn09\tother\n")
    return root


def load_tiny(root):
    return datasets.load("tiny_imagenet", data_dir=str(root))


def test_tiny_imagenet(tiny):
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


def test_tiny_imagenet_in_the_default_directory(tiny, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tiny.parent))
    assert len(datasets.load("tiny_imagenet").train_labels) == 8


def test_tiny_imagenet_without_words(tiny):
    (tiny / "words.txt").unlink()
    assert load_tiny(tiny).class_names == ("n01", "n02")


def test_tiny_imagenet_missing(tmp_path):
    url = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
    with usage_error(tmp_path, "wnids.txt", url, "--data_dir"):
        load_tiny(tmp_path)


def test_tiny_imagenet_without_train_images(tiny):
    shutil.rmtree(tiny / "train" / "n02")
    with usage_error(tiny / "train" / "n02" / "images", "no *.JPEG"):
        load_tiny(tiny)


def test_tiny_imagenet_without_annotations(tiny):
    (tiny / "val" / "val_annotations.txt").unlink()
    with usage_error("val_annotations.txt", "can't be read"):
        load_tiny(tiny)


def test_tiny_imagenet_without_val_images(tiny):
    shutil.rmtree(tiny / "val" / "images")
    with usage_error(tiny / "val" / "images", "no *.JPEG"):
        load_tiny(tiny)


def test_tiny_imagenet_without_a_listed_image(tiny):
    (tiny / "val" / "images" / "val_1.JPEG").unlink()
    with usage_error("val_1.JPEG is missing"):
        load_tiny(tiny)


def test_tiny_imagenet_with_an_unlabelled_image(tiny):
    write_image(tiny / "val" / "images" / "val_9.JPEG", size=(64, 64))
    with usage_error("val_9.JPEG has no label"):
        load_tiny(tiny)


@pytest.mark.parametrize("line", ["val_1.JPEG\tn77\t0", "val_1.JPEG"])
def test_tiny_imagenet_with_an_unknown_label(tiny, line):
    with open(tiny / "val" / "val_annotations.txt", "a") as file:
        file.write(line + "\n")
    with usage_error("without a class of wnids.txt", repr(line)):
        load_tiny(tiny)


def test_tiny_imagenet_with_a_wrong_size(tiny):
    write_image(tiny / "train" / "n01" / "images" / "n01_1.JPEG", size=(32, 64))
    with usage_error("n01_1.JPEG", "32x64", "64x64"):
        load_tiny(tiny)


def test_tiny_imagenet_with_a_damaged_image(tiny):
    path = tiny / "train" / "n01" / "images" / "n01_1.JPEG"
    path.write_bytes(path.read_bytes()[:100])
    with usage_error(path, "can't be decoded"):
        load_tiny(tiny)


def test_tiny_imagenet_with_a_folder_for_an_image(tiny):
    path = tiny / "train" / "n01" / "images" / "n01_1.JPEG"
    path.unlink()
    path.mkdir()
    with usage_error(path, "can't be read"):
        load_tiny(tiny)


# TensorFlow Datasets.

EXAMPLES = {"train": 12, "test": 5}


def prepare_cifar10(data_dir):
    """Prepares a tiny CIFAR10 whose image i is a plain i with label i % 10."""
    import tensorflow_datasets as tfds

    def examples(split):
        for index in range(EXAMPLES[split]):
            image = np.full([32, 32, 3], index, np.uint8)
            record = {"id": f"{split}_{index:05d}", "image": image, "label": index % 10}
            yield index, record

    builder = tfds.builder("cifar10", data_dir=data_dir, try_gcs=False)
    builder.info.features["label"].names = datasets.DATASETS["cifar10"].class_names
    builder._split_generators = lambda *_, **__: {
        split: examples(split) for split in EXAMPLES
    }
    builder.download_and_prepare()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    path = tmp_path_factory.mktemp("tfds")
    prepare_cifar10(path)
    return path


@pytest.fixture
def unreachable(monkeypatch):
    """Points CIFAR10's download at a port of this machine that nothing serves."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/cifar.tar.gz"
    description = dataclasses.replace(datasets.DATASETS["cifar10"], download_url=url)
    monkeypatch.setitem(datasets.DATASETS, "cifar10", description)
    monkeypatch.setenv("NO_PROXY", "*")


def copy_of(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "copy")
    (folder,) = (tmp_path / "copy" / "cifar10").iterdir()
    return tmp_path / "copy", folder


def test_cifar10_is_read_in_the_official_order(prepared):
    import tensorflow_datasets as tfds

    builder = tfds.builder("cifar10", data_dir=prepared, try_gcs=False)
    stored = builder.as_dataset(split="train", batch_size=-1)["label"].numpy().tolist()
    official = [index % 10 for index in range(EXAMPLES["train"])]
    assert stored != official, "the fixture's order must differ to test anything"
    dataset = datasets.load("cifar10", data_dir=str(prepared))
    assert dataset.name == "cifar10"
    assert dataset.train_labels.tolist() == official
    assert dataset.train_labels.dtype == np.int32
    assert dataset.train_images[:, 0, 0, 0].tolist() == list(range(12))
    assert dataset.test_images[:, 0, 0, 0].tolist() == list(range(5))
    assert dataset.class_names == datasets.DATASETS["cifar10"].class_names


def test_cifar10_in_the_default_directory(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    assert len(datasets.load("cifar10").train_labels) == 12


def test_class_names_are_those_of_tfds(prepared):
    (folder,) = (prepared / "cifar10").iterdir()
    names = (folder / "label.labels.txt").read_text().split()
    assert tuple(names) == datasets.DATASETS["cifar10"].class_names
    cifar100 = datasets.DATASETS["cifar100"].class_names
    assert (cifar100[0], cifar100[50], cifar100[99]) == ("apple", "mouse", "worm")
    assert list(cifar100) == sorted(cifar100)


def test_data_dir_missing(tmp_path):
    with usage_error(tmp_path / "none", "does not exist"):
        datasets.load("cifar10", data_dir=str(tmp_path / "none"))


def test_data_dir_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with usage_error(tmp_path / "file", "is not a folder"):
        datasets.load("cifar10", data_dir=str(tmp_path / "file"))


def test_no_network_is_told_in_seconds(tmp_path, unreachable):
    start = time.monotonic()
    with usage_error(
        "cifar10 is not prepared",
        tmp_path / "cifar10",
        "127.0.0.1 can't be reached",
        "Connection refused",
        "--data_dir",
        "download_and_prepare()",
        "--dataset=digits",
    ):
        datasets.load("cifar10", data_dir=str(tmp_path))
    assert time.monotonic() - start < 15
    assert not list(tmp_path.iterdir())


def test_hanging_look_up_is_cut_short(monkeypatch):
    import requests

    monkeypatch.setattr(requests, "get", lambda *_, **__: time.sleep(30))
    monkeypatch.setattr(network, "HOST_SECONDS", 0.2)
    start = time.monotonic()
    assert network.host_problem("http://example.invalid") == "no answer within 0.2 s"
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("status", "problem"),
    [(200, None), (404, None), (502, "a proxy answered 502")],
)
def test_answer_of_a_host(monkeypatch, status, problem):
    import requests

    response = requests.Response()
    response.status_code = status
    response.raw = io.BytesIO()
    monkeypatch.setattr(requests, "get", lambda *_, **__: response)
    assert network.host_problem("http://example.invalid") == problem


def test_failed_download(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def fail(*_, **__):
        raise ConnectionError("connection\nreset")

    monkeypatch.setattr(network, "host_problem", lambda url: None)
    builder = type(tfds.builder("cifar10", data_dir=tmp_path, try_gcs=False))
    monkeypatch.setattr(builder, "download_and_prepare", fail)
    with usage_error("download failed (connection reset)", "--data_dir"):
        datasets.load("cifar10", data_dir=str(tmp_path))


@pytest.mark.parametrize("pattern", ["*train.tfrecord*", "*test.tfrecord*"])
@pytest.mark.parametrize("kept", [0, 200], ids=["emptied", "truncated"])
def test_damaged_records(prepared, tmp_path, pattern, kept):
    data_dir, folder = copy_of(prepared, tmp_path)
    (path,) = folder.glob(pattern)
    path.write_bytes(path.read_bytes()[:kept])
    with usage_error("cifar10", folder, "can't be read", "--data_dir"):
        datasets.load("cifar10", data_dir=str(data_dir))


def test_records_that_end_early(prepared, tmp_path):
    data_dir, folder = copy_of(prepared, tmp_path)
    (path,) = folder.glob("*train.tfrecord*")
    content = path.read_bytes()
    # A record is its length, a checksum of that, the data, a checksum of those.
    first = 8 + 4 + struct.unpack("<Q", content[:8])[0] + 4
    path.write_bytes(content[:first])
    with usage_error(folder, "can't be read", "--data_dir"):
        datasets.load("cifar10", data_dir=str(data_dir))


def test_damaged_metadata(prepared, tmp_path):
    data_dir, folder = copy_of(prepared, tmp_path)
    (folder / "dataset_info.json").write_text("{")
    with usage_error("cifar10", "can't be read", "--data_dir"):
        datasets.load("cifar10", data_dir=str(data_dir))


def test_missing_records(prepared, tmp_path):
    data_dir, folder = copy_of(prepared, tmp_path)
    for path in folder.glob("*train.tfrecord*"):
        path.unlink()
    with usage_error("cifar10", "can't be read"):
        datasets.load("cifar10", data_dir=str(data_dir))


@pytest.mark.realdata
@pytest.mark.skipif(
    "NORMTEST_DATA_DIR" not in os.environ, reason="NORMTEST_DATA_DIR is not set"
)
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_real_cifar_has_the_published_statistics(name):
    dataset = datasets.load(name, data_dir=os.environ["NORMTEST_DATA_DIR"])
    description = datasets.DATASETS[name]
    assert len(dataset.train_labels) == description.train_examples
    assert len(dataset.test_labels) == description.test_examples
    measured = normalization.channel_statistics(dataset.train_images, name)
    published = description.published_statistics
    np.testing.assert_allclose(measured.mean, published.mean, atol=3e-4)
    np.testing.assert_allclose(measured.std, published.std, atol=3e-4)
    counts = np.bincount(dataset.train_labels)
    assert set(counts) == {description.train_examples // description.num_classes}
