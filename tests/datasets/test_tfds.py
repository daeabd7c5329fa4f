"""Sets of TensorFlow Datasets: CIFAR10, and any other that classifies images."""

import dataclasses
import io
import os
import shutil
import socket
import time

import numpy as np
import PIL.Image
import pytest

from normtest_tf import datasets, normalization
from normtest_tf.system import files
from tests.datasets import helpers

CLASSES = ("cat", "dog")
SPLITS = {"train": 12, "validation": 6}


def jpeg(value, size=(8, 6)):
    """Returns an image of slanted stripes, whose decoding depends on the decoder."""
    columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    grey = (value * 7 + 9 * columns + 5 * rows) % 256
    data = io.BytesIO()
    PIL.Image.fromarray(grey.astype(np.uint8)).save(data, "JPEG")
    return data.getvalue()


def prepare(
    data_dir, name="pets", splits=SPLITS, features=None, example=None, file_format=None
):
    """Prepares a small set; image i of a split is `jpeg(i)`, with label i % 2."""
    import tensorflow_datasets as tfds

    if features is None:
        label = tfds.features.ClassLabel(names=CLASSES)
        features = {"image": tfds.features.Image(shape=(None, None, 1)), "label": label}

    def of_index(split, index):
        first = 100 * list(splits).index(split)
        image = io.BytesIO(jpeg(first + index))
        return {"image": image, "label": index % 2}

    make = example or of_index

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = data_dir

        def _info(self):
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, *_):
            return {split: self._examples(split) for split in splits}

        def _generate_examples(self):
            raise NotImplementedError

        def _examples(self, split):
            for index in range(splits[split]):
                yield index, make(split, index)

    Builder.name = name
    Builder(data_dir=data_dir, file_format=file_format).download_and_prepare()


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    path = tmp_path_factory.mktemp("tfds")
    prepare(path)
    return path


def load(data_dir, name="pets", notify=lambda text: None, **options):
    options = {"image_size": 8} | options
    reading = datasets.ReadingOptions(data_dir=str(data_dir), **options)
    return datasets.load(f"tfds:{name}", reading, notify)


def expected_images(values):
    """Decodes what `prepare` has written with Pillow."""

    def decode(value):
        image = PIL.Image.open(io.BytesIO(jpeg(value))).convert("RGB")
        return np.asarray(image.resize((8, 8), PIL.Image.Resampling.BILINEAR))

    return {decode(value).tobytes() for value in values}


def test_a_prepared_set_gives_its_images_and_labels(pets):
    dataset = load(pets)
    assert dataset.name == "tfds-pets"
    assert dataset.class_names == CLASSES
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (12, 6)
    found = {image.tobytes() for image in dataset.train_images}
    assert found == expected_images(range(12))
    found = {image.tobytes() for image in dataset.test_images}
    assert found == expected_images(range(100, 106))
    for label in (0, 1):
        images = dataset.train_images[dataset.train_labels == label]
        found = {image.tobytes() for image in images}
        assert found == expected_images(range(label, 12, 2))
    assert dataset.division is None
    assert load(pets).fingerprint() == dataset.fingerprint()


def test_slices_of_splits_can_be_named(pets):
    dataset = load(pets, train_split="train[:75%]", test_split="train[75%:]")
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (9, 3)
    both = [*dataset.train_images, *dataset.test_images]
    assert {image.tobytes() for image in both} == expected_images(range(12))


def test_a_set_with_one_split_is_divided(pets, tmp_path):
    prepare(tmp_path, "single", {"train": 10})
    dataset = load(tmp_path, "single", test_fraction=0.4)
    assert np.bincount(dataset.test_labels).tolist() == [2, 2]
    assert np.bincount(dataset.train_labels).tolist() == [3, 3]
    assert "0.4 of each class" in dataset.division


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"test_split": "tests"},
            ("no usable split tests", "train (12)", "slices"),
        ),
        ({"train_split": "train[:x]"}, ("no usable split train[:x]", "slices such as")),
        ({"train_split": "train[:0]"}, ("train[:0]", "is empty")),
        (
            {"train_split": "train[:75%]", "test_split": "train[50%:]"},
            ("3 images twice",),
        ),
        ({"train_split": "train", "test_split": "train"}, ("12 images twice",)),
        ({"train_split": "train[:6]+train[4:8]"}, ("2 images twice",)),
    ],
)
def test_splits_that_can_not_be_used_are_refused(pets, options, words):
    with helpers.usage_error("tfds:pets", *words):
        load(pets, **options)


def test_images_may_be_kept_in_a_file(pets):
    kept, mapped = load(pets), load(pets, memory_budget=1000)
    assert not isinstance(mapped.train_images, np.ndarray)
    assert mapped.fingerprint() == kept.fingerprint()


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"train": (0, 1), "test": (-1, -1)}, ("2 of 2 images", "split test", "-1")),
        ({"train": (0, 0), "test": (0, 1)}, ("1 test image", "training image: dog")),
    ],
)
def test_labels_that_can_not_be_used_are_refused(tmp_path, labels, words):
    def example(split, index):
        return {"image": io.BytesIO(jpeg(index)), "label": labels[split][index]}

    prepare(tmp_path, "labels", {"train": 2, "test": 2}, example=example)
    with helpers.usage_error(*words):
        load(tmp_path, "labels")


def test_sets_of_another_kind_are_refused(tmp_path):
    import tensorflow_datasets as tfds

    pixels = np.zeros([4, 4, 3], np.uint8)
    image = tfds.features.Image(), pixels
    label = tfds.features.ClassLabel(names=CLASSES), 0
    single = tfds.features.ClassLabel(names=["cat"]), 0
    grey = np.zeros([4, 4, 1], np.float32)
    floats = tfds.features.Image(shape=grey.shape, dtype=np.float32), grey
    for name, features, words in (
        ("texts", {"label": label}, "one image and one class label"),
        ("plain", {"image": image}, "one image and one class label"),
        ("pairs", {"a": image, "b": image, "label": label}, "a (Image), b (Image)"),
        ("alone", {"image": image, "label": single}, "only one class, 'cat'"),
        ("floats", {"image": floats, "label": label}, "float32"),
    ):
        kinds = {key: kind for key, (kind, _) in features.items()}
        example = {key: value for key, (_, value) in features.items()}
        prepare(tmp_path, name, {"train": 2}, kinds, lambda *_, it=example: it)
        with helpers.usage_error(f"tfds:{name}", words):
            load(tmp_path, name)


def test_other_file_formats_give_the_same_images(pets, tmp_path):
    for file_format in ("array_record", "parquet"):
        (tmp_path / file_format).mkdir()
        prepare(tmp_path / file_format, file_format=file_format)
        dataset = load(tmp_path / file_format)
        found = {image.tobytes() for image in dataset.train_images}
        assert found == expected_images(range(12))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cifar10_corrupted/nope", ("BuilderConfig nope not found",)),
        ("mnist:1.0.0", ("cannot be loaded at version 1.0.0, only: 3.0.1",)),
        ("pets:2.0.0", ("unknown data set 'pets:2.0.0'",)),
        ("imdb_reviews/plain_text", ("one image and one class label",)),
        ("mnst", ("unknown data set 'mnst'", "'mnist'", "no such data set")),
    ],
)
def test_names_that_can_not_be_used_are_refused_before_a_download(
    pets, name, words, monkeypatch
):
    monkeypatch.setattr(files, "host_problem", None)
    with helpers.usage_error(*words):
        load(pets, name)


def test_a_mocked_set_is_read(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    monkeypatch.setattr(files, "host_problem", lambda url: None)
    policy = tfds.testing.MockPolicy.USE_CODE
    with tfds.testing.mock_data(num_examples=200, policy=policy):
        dataset = load(tmp_path, "mnist", image_size=None)
    assert dataset.image_shape == (28, 28, 3)
    assert len(dataset.train_labels) + len(dataset.test_labels) == 200
    assert dataset.class_names == tuple("0123456789")
    # Its images are grey.
    images = dataset.train_images
    np.testing.assert_array_equal(images[..., :1].repeat(3, -1), images)


CIFAR = {"train": 12, "test": 5}


def prepare_cifar10(data_dir):
    """Prepares a tiny CIFAR10 whose image i is a plain i with label i % 10."""
    import tensorflow_datasets as tfds

    def examples(split):
        for index in range(CIFAR[split]):
            image = np.full([32, 32, 3], index, np.uint8)
            record = {"id": f"{split}_{index:05d}", "image": image, "label": index % 10}
            yield index, record

    official = type(tfds.builder("cifar10", data_dir=data_dir, try_gcs=False))

    class Cifar10(official, skip_registration=True):
        def _split_generators(self, *_, **__):
            return {split: examples(split) for split in CIFAR}

    builder = Cifar10(data_dir=data_dir)
    builder.info.features["label"].names = datasets.DATASETS["cifar10"].class_names
    builder.download_and_prepare()


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    path = tmp_path_factory.mktemp("tfds")
    prepare_cifar10(path)
    return path


def load_cifar(data_dir):
    return datasets.load("cifar10", datasets.ReadingOptions(data_dir=str(data_dir)))


def test_images_are_read_in_the_official_order(cifar):
    import tensorflow_datasets as tfds

    builder = tfds.builder("cifar10", data_dir=cifar, try_gcs=False)
    stored = builder.as_dataset(split="train", batch_size=-1)["label"].numpy().tolist()
    official = [index % 10 for index in range(CIFAR["train"])]
    assert stored != official, "the fixture's order must differ to test anything"
    dataset = load_cifar(cifar)
    assert dataset.name == "cifar10"
    assert dataset.train_labels.tolist() == official
    assert dataset.train_labels.dtype == np.int32
    assert dataset.train_images[:, 0, 0, 0].tolist() == list(range(12))
    assert dataset.test_images[:, 0, 0, 0].tolist() == list(range(5))
    assert dataset.class_names == datasets.DATASETS["cifar10"].class_names


def test_cifar_data_are_found_in_the_default_directory(cifar, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(cifar))
    assert len(datasets.load("cifar10").train_labels) == 12


def test_class_names_are_those_of_tfds(cifar):
    (folder,) = (cifar / "cifar10").iterdir()
    names = (folder / "label.labels.txt").read_text().split()
    assert tuple(names) == datasets.DATASETS["cifar10"].class_names
    cifar100 = datasets.DATASETS["cifar100"].class_names
    assert (cifar100[0], cifar100[50], cifar100[99]) == ("apple", "mouse", "worm")
    assert list(cifar100) == sorted(cifar100)


def test_what_is_no_data_dir_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("none", "file"):
        with helpers.usage_error(tmp_path / name, "is not a folder"):
            load_cifar(tmp_path / name)


def test_being_offline_is_reported_within_seconds(tmp_path, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/cifar.tar.gz"
    description = dataclasses.replace(datasets.DATASETS["cifar10"], download_url=url)
    monkeypatch.setitem(datasets.DATASETS, "cifar10", description)
    monkeypatch.setenv("NO_PROXY", "*")
    start = time.monotonic()
    with helpers.usage_error(
        "cifar10 is not prepared",
        tmp_path / "cifar10",
        "127.0.0.1 can't be reached",
        "Connection refused",
        "--data_dir",
        "download_and_prepare()",
        "--dataset=digits",
    ):
        load_cifar(tmp_path)
    assert time.monotonic() - start < 15
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(files, "host_problem", lambda url: "no route")
    with helpers.usage_error("mnist is not prepared", "no route", "--data_dir"):
        load(tmp_path, "mnist")


def test_a_failed_download_is_reported(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def fail(*_, **__):
        raise ConnectionError("connection\nreset")

    monkeypatch.setattr(files, "host_problem", lambda url: None)
    builder = type(tfds.builder("cifar10", data_dir=tmp_path, try_gcs=False))
    monkeypatch.setattr(builder, "download_and_prepare", fail)
    with helpers.usage_error("download failed: connection reset", "--data_dir"):
        load_cifar(tmp_path)


def emptied(folder):
    (path,) = folder.glob("*train.tfrecord*")
    path.write_bytes(b"")


def truncated(folder):
    *_, path = sorted(folder.glob("*.tfrecord*"))
    path.write_bytes(path.read_bytes()[:-10])


def shortened(folder):
    """Drops whole records."""
    import tensorflow as tf

    (path,) = folder.glob("*train.tfrecord*")
    first = next(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(first)


def without_image(folder):
    import tensorflow as tf

    (path,) = folder.glob("*train.tfrecord*")
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(tf.train.Example().SerializeToString())


def missing(folder):
    for path in folder.glob("*train.tfrecord*"):
        path.unlink()


def without_metadata(folder):
    (folder / "dataset_info.json").write_text("{")


@pytest.mark.parametrize("name", ["cifar10", "pets"])
@pytest.mark.parametrize(
    "damage",
    [emptied, truncated, shortened, without_image, missing, without_metadata],
)
def test_damaged_data_are_reported(cifar, pets, tmp_path, name, damage):
    source = cifar if name == "cifar10" else pets
    shutil.copytree(source / name, tmp_path / name)
    (folder,) = (tmp_path / name).iterdir()
    damage(folder)
    with helpers.usage_error(name, "--data_dir"):
        load_cifar(tmp_path) if name == "cifar10" else load(tmp_path)


@pytest.mark.realdata
@pytest.mark.skipif(
    "NORMTEST_DATA_DIR" not in os.environ, reason="NORMTEST_DATA_DIR is not set"
)
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_real_cifar_has_the_published_statistics(name):
    options = datasets.ReadingOptions(data_dir=os.environ["NORMTEST_DATA_DIR"])
    dataset = datasets.load(name, options)
    description = datasets.DATASETS[name]
    assert len(dataset.train_labels) == description.train_examples
    assert len(dataset.test_labels) == description.test_examples
    measured = normalization.channel_statistics(dataset.train_images, name)
    published = description.published_statistics
    np.testing.assert_allclose(measured.mean, published.mean, atol=3e-4)
    np.testing.assert_allclose(measured.std, published.std, atol=3e-4)
    counts = np.bincount(dataset.train_labels)
    assert set(counts) == {description.train_examples // description.num_classes}
