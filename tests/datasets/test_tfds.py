"""Sets of TensorFlow Datasets: CIFAR10, and any other that classifies images."""

import errno
import os
import shutil
import tempfile
import time

import numpy as np
import PIL.Image
import pytest

from normtest_tf import datasets, normalization
from normtest_tf.system import files
from tests.datasets import helpers


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    path = tmp_path_factory.mktemp("tfds")
    helpers.prepare(path, "pets", {"train": 12, "validation": 6})
    return path


def load(data_dir, name="tfds:pets", notify=lambda text: None, **options):
    if name.startswith("tfds:"):
        options = {"image_size": 8} | options
    reading = datasets.ReadingOptions(data_dir=str(data_dir), **options)
    return datasets.load(name, reading, notify)


def contents(images):
    return {image.tobytes() for image in images}


def expected(values):
    """Decodes what `prepare` has written with Pillow."""
    images = [PIL.Image.open(helpers.jpeg(value)).convert("RGB") for value in values]
    bilinear = PIL.Image.Resampling.BILINEAR
    return contents(np.asarray(image.resize((8, 8), bilinear)) for image in images)


def test_a_prepared_set_gives_its_images_and_labels(pets):
    dataset = load(pets)
    assert (dataset.name, dataset.class_names) == ("tfds-pets", ("cat", "dog"))
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (12, 6)
    assert contents(dataset.test_images) == expected(range(100, 106))
    for label in (0, 1):
        images = dataset.train_images[dataset.train_labels == label]
        assert contents(images) == expected(range(label, 12, 2))
    sliced = load(pets, train_split="train[:75%]", test_split="train[75%:]")
    assert (len(sliced.train_labels), len(sliced.test_labels)) == (9, 3)
    assert contents([*sliced.train_images, *sliced.test_images]) == expected(range(12))


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        (None, "tests", ("no usable split tests", "train (12)", "slices")),
        ("train[:0]", None, ("train[:0]", "is empty")),
        ("train[:75%]", "train[50%:]", ("3 images twice",)),
    ],
)
def test_splits_that_can_not_be_used_are_refused(pets, train, test, words):
    with helpers.usage_error("tfds:pets", *words):
        load(pets, train_split=train, test_split=test)


def test_labels_that_are_no_class_are_refused(tmp_path):
    def example(split, index):
        return {"image": helpers.jpeg(index), "label": 0 if split == "train" else -1}

    helpers.prepare(tmp_path, "labels", {"train": 2, "test": 2}, example=example)
    with helpers.usage_error("2 of 2 images", "split test", "-1"):
        load(tmp_path, "tfds:labels")


def test_sets_of_another_kind_are_refused(tmp_path):
    import tensorflow_datasets as tfds

    image = tfds.features.Image(), np.zeros([4, 4, 3], np.uint8)
    label = tfds.features.ClassLabel(names=("cat", "dog")), 0
    grey = np.zeros([4, 4, 1], np.float32)
    floats = tfds.features.Image(shape=grey.shape, dtype=np.float32), grey
    for name, features, words in (
        ("pairs", {"a": image, "b": image, "label": label}, "a (Image), b (Image)"),
        ("floats", {"image": floats, "label": label}, "float32"),
    ):
        kinds = {key: kind for key, (kind, _) in features.items()}
        example = {key: value for key, (_, value) in features.items()}
        helpers.prepare(tmp_path, name, {"train": 2}, kinds, lambda *_, it=example: it)
        with helpers.usage_error(f"tfds:{name}", words):
            load(tmp_path, f"tfds:{name}")


@pytest.mark.parametrize("file_format", ["array_record", "parquet"])
def test_other_file_formats_give_the_same_images(tmp_path, file_format):
    helpers.prepare(tmp_path, "pets", {"train": 8, "test": 2}, file_format=file_format)
    assert contents(load(tmp_path).train_images) == expected(range(8))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_temporary_folder_is_not_taken_for_damaged_data(
    pets, monkeypatch, number
):
    def full():
        raise OSError(number, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with helpers.usage_error(tempfile.gettempdir(), "No space left") as caught:
        load(pets)
    assert "Delete" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cifar10_corrupted/nope", ("BuilderConfig nope not found",)),
        ("mnist:1.0.0", ("cannot be loaded at version 1.0.0, only: 3.0.1",)),
        ("imdb_reviews/plain_text", ("one image and one class label",)),
        ("mnst", ("unknown data set 'mnst'", "'mnist'", "has none")),
    ],
)
def test_names_that_can_not_be_used_are_refused_before_a_download(
    pets, name, words, monkeypatch
):
    monkeypatch.setattr(files, "host_problem", None)
    with helpers.usage_error(*words):
        load(pets, f"tfds:{name}")


def test_cifar10_is_read_in_the_official_order(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    helpers.prepare_cifar10(tmp_path)
    builder = tfds.builder("cifar10", data_dir=tmp_path, try_gcs=False)
    stored = builder.as_dataset(split="train", batch_size=-1)["label"].numpy().tolist()
    official = [index % 10 for index in range(helpers.CIFAR["train"])]
    assert stored != official, "the fixture's order must differ to test anything"
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    dataset = datasets.load("cifar10")
    assert dataset.train_labels.tolist() == official
    assert helpers.reds(dataset.train_images) == list(range(12))
    assert helpers.reds(dataset.test_images) == list(range(100, 105))


def test_what_can_not_be_downloaded_is_reported_within_seconds(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    with helpers.usage_error(tmp_path / "none", "is not a folder"):
        load(tmp_path / "none", "cifar10")
    monkeypatch.setattr(files, "host_problem", lambda url: "no route")
    start = time.monotonic()
    for name in ("cifar10", "mnist"):
        with helpers.usage_error(
            f"{name} is not prepared",
            tmp_path / name,
            "can't be reached (no route)",
            "--data_dir",
            "download_and_prepare()",
            "--dataset=digits",
        ):
            load(tmp_path, name if name == "cifar10" else f"tfds:{name}")
    assert time.monotonic() - start < 15
    assert not list(tmp_path.iterdir())

    def fail(*_, **__):
        raise ConnectionError("connection\nreset")

    monkeypatch.setattr(files, "host_problem", lambda url: None)
    builder = type(tfds.builder("cifar10", data_dir=tmp_path, try_gcs=False))
    monkeypatch.setattr(builder, "download_and_prepare", fail)
    with helpers.usage_error("download failed: connection reset", "--data_dir"):
        load(tmp_path, "cifar10")


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: (path.parent / "dataset_info.json").write_text("{"),
    ],
)
def test_damaged_data_are_reported(pets, tmp_path, damage):
    shutil.copytree(pets / "pets", tmp_path / "pets")
    (path,) = tmp_path.glob("pets/*/*train.tfrecord*")
    damage(path)
    with helpers.usage_error("pets", "--data_dir"):
        load(tmp_path)


@pytest.mark.realdata
@pytest.mark.skipif(
    "NORMTEST_DATA_DIR" not in os.environ, reason="NORMTEST_DATA_DIR is not set"
)
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_real_cifar_has_the_published_statistics(name):
    dataset = load(os.environ["NORMTEST_DATA_DIR"], name)
    description = datasets.DATASETS[name]
    assert len(dataset.train_labels) == description.train_examples
    assert len(dataset.test_labels) == description.test_examples
    assert dataset.num_classes == description.num_classes
    measured = normalization.channel_statistics(dataset.train_images, name)
    published = description.published_statistics
    np.testing.assert_allclose(measured.mean, published.mean, atol=3e-4)
    np.testing.assert_allclose(measured.std, published.std, atol=3e-4)
    counts = np.bincount(dataset.train_labels)
    assert set(counts) == {description.train_examples // description.num_classes}
