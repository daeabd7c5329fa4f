"""What holds for every kind of data set; what only one does is in its own file."""

import functools
import shutil

import numpy as np
import PIL.Image
import pytest

from normtest_tf import datasets
from normtest_tf.datasets import catalogue
from normtest_tf.normalization.statistics import (
    PixelCounts,
    channel_statistics,
    mean_of_stds,
)
from tests.datasets import helpers

BILINEAR = PIL.Image.Resampling.BILINEAR
WNIDS = ("n02", "n01")


def write_table(root):
    lines = ["file,label,split"]
    for path in sorted(helpers.write_folder(root).rglob("*.png")):
        split, label, name = path.relative_to(root).parts
        lines.append(f"{split}/{label}/{name},{label},{split}")
    (root / "list.csv").write_text("\n".join(lines))


def write_tiny_imagenet(data_dir):
    """Writes two classes whose images are grey 10, 11, ... and 20, 21, ..."""
    root = data_dir / "tiny-imagenet-200"
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


def write_pets(root):
    def example(split, index):
        value = index + 100 * (split == "test")
        return {"image": helpers.jpeg(value, (8, 8)), "label": index % 2}

    helpers.prepare(root, "pets", {"train": 6, "test": 4}, example=example)


# How to write a set, its name where {} is the folder, and a file of an image.
KINDS = {
    "folder": (helpers.write_folder, "folder:{}", "train/cat/0.png"),
    "csv": (write_table, "csv:{}/list.csv", "test/dog/0.png"),
    "tfds": (write_pets, "tfds:pets", "pets/1.0.0/*-train.tfrecord*"),
    "cifar10": (helpers.prepare_cifar10, "cifar10", "cifar10/*/*-test.tfrecord*"),
    "tiny_imagenet": (
        write_tiny_imagenet,
        "tiny_imagenet",
        "tiny-imagenet-200/val/images/val_1.JPEG",
    ),
    "digits": (lambda root: None, "digits", None),
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request, tmp_path_factory):
    """Returns a folder, a function that loads the set in it, and a file's pattern."""
    write, name, pattern = KINDS[request.param]
    root = tmp_path_factory.mktemp("data")
    write(root)

    def load(folder=root, read=datasets.load, **options):
        reading = datasets.ReadingOptions(str(folder), **options)
        return read(name.format(folder), reading)

    return root, load, pattern


def test_a_set_is_the_same_whenever_and_wherever_it_is_kept(kind):
    _, load, _ = kind
    kept, mapped = load(), load(memory_budget=1)
    assert kept.fingerprint() == mapped.fingerprint()
    assert isinstance(mapped.train_images, datasets.MappedImages)
    assert kept.division is None
    assert {0, 1} <= set(kept.train_labels)
    classes = datasets.DATASETS[kept.name].num_classes if kept.num_classes > 2 else 2
    assert kept.num_classes == len(set(kept.class_names)) == classes
    inverted = load(shift="invert", memory_budget=1)
    np.testing.assert_array_equal(inverted.test_images, 255 - kept.test_images)


def test_a_set_is_resized_as_pillow_does(kind):
    _, load, _ = kind
    original, resized = load(), load(image_size=11)
    assert resized.image_shape == (11, 11, 3)
    np.testing.assert_array_equal(resized.train_labels, original.train_labels)
    for image, pixels in zip(
        original.train_images[:20], resized.train_images, strict=False
    ):
        expected = PIL.Image.fromarray(image).resize((11, 11), BILINEAR)
        np.testing.assert_array_equal(pixels, np.asarray(expected))


def test_pixels_of_the_training_images_are_counted_as_numpy_does(kind):
    _, load, _ = kind
    options = {"image_size": 11, "shift": "cast:1,0.6,0.3"}
    count = functools.partial(catalogue.count_pixels, notify=print)
    number, found = load(read=count, **options)
    counts = functools.reduce(PixelCounts.plus, found)
    images = load(**options).train_images / 255
    assert counts.images == number == len(images)
    for found, stds in (
        (channel_statistics(counts, "a test", print), images.std((0, 1, 2))),
        (mean_of_stds(counts, "a test", print), images.std((1, 2)).mean(0)),
    ):
        np.testing.assert_allclose(found.mean, images.mean((0, 1, 2)), rtol=1e-12)
        stds = np.where(stds > 1e-9, stds, 1)  # Of one value, the whole channel.
        np.testing.assert_allclose(found.std, stds, rtol=1e-12)


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if KINDS[kind][2]], indirect=True
)
@pytest.mark.parametrize("share", [0, 0.5])
def test_a_truncated_file_is_refused_in_one_line(kind, share, tmp_path):
    root, load, pattern = kind
    shutil.copytree(root, tmp_path / "copy")
    (path,) = (tmp_path / "copy").glob(pattern)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with helpers.usage_error(tmp_path):
        load(tmp_path / "copy")


def test_the_digits_are_scikit_learns_in_its_split():
    import sklearn.datasets
    import sklearn.model_selection

    digits = datasets.load("digits")
    data = sklearn.datasets.load_digits()
    train, test = sklearn.model_selection.train_test_split(
        np.arange(1797), test_size=500, random_state=0, stratify=data.target
    )
    assert (len(digits.train_labels), len(digits.test_labels)) == (1297, 500)
    np.testing.assert_array_equal(digits.train_labels, data.target[train])
    np.testing.assert_array_equal(digits.test_labels, data.target[test])
    # Averaged over 4x4 blocks, bilinear enlargement stays near the original.
    blocks = digits.test_images.reshape(-1, 8, 4, 8, 4, 3).mean(axis=(2, 4))
    original = data.images[test][..., np.newaxis] * 255 / 16
    assert np.abs(blocks - original).mean() < 20


@pytest.fixture
def tiny(tmp_path):
    write_tiny_imagenet(tmp_path)
    return tmp_path / "tiny-imagenet-200"


def load_tiny(root):
    return datasets.load("tiny_imagenet", datasets.ReadingOptions(data_dir=str(root)))


def test_tiny_imagenet_gives_images_labels_and_class_names(tiny, monkeypatch):
    dataset = load_tiny(tiny)
    assert dataset.class_names == ("goldfish, Carassius auratus", "n02")
    values = dataset.train_images[:, 0, 0, 0]
    assert sorted(values) == [10, 11, 12, 13, 20, 21, 22, 23]
    np.testing.assert_array_equal(dataset.train_labels, values >= 20)
    np.testing.assert_array_equal(
        dataset.test_labels, dataset.test_images[:, 0, 0, 2] > 15
    )
    monkeypatch.setenv("TFDS_DATA_DIR", str(tiny.parent))
    assert datasets.load("tiny_imagenet").fingerprint() == dataset.fingerprint()
    (tiny / "words.txt").unlink()
    assert load_tiny(tiny).class_names == ("n01", "n02")


def test_an_archive_of_tiny_imagenet_that_can_not_be_used_is_refused(tiny):
    annotations = tiny / "val/val_annotations.txt"
    annotations.write_text("a\tn77\t0\n")
    with helpers.usage_error(annotations, "n77", "unpack the archive again"):
        load_tiny(tiny)
    shutil.rmtree(tiny / "train/n02")
    with helpers.usage_error("no *.JPEG", "train/n02"):
        load_tiny(tiny)
    with helpers.usage_error("wnids.txt", "http://cs231n.stanford.edu/tiny-imagenet"):
        load_tiny(tiny / "train")
