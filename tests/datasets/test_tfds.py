"""Any image classification set of TensorFlow Datasets, prepared or mocked."""

import io
import shutil

import numpy as np
import PIL.Image
import pytest

from normtest_tf import datasets
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
            ("--test_split=tests", "train (12 images)", "slices"),
        ),
        ({"train_split": "train[:x]"}, ("--train_split=train[:x]", "slices such as")),
        ({"train_split": "train[:0]"}, ("--train_split=train[:0]", "is empty")),
        (
            {"train_split": "train[:75%]", "test_split": "train[50%:]"},
            ("share 3 images",),
        ),
        ({"train_split": "train", "test_split": "train"}, ("share 12 images",)),
        ({"train_split": "train[:6]+train[4:8]"}, ("has images twice",)),
    ],
)
def test_splits_that_can_not_be_used_are_refused(pets, options, words):
    with helpers.usage_error("tfds:pets", *words):
        load(pets, **options)


def test_sizes_that_differ_need_image_size(tmp_path):
    def example(split, index):
        return {"image": io.BytesIO(jpeg(index, (4, 4 + index))), "label": index % 2}

    prepare(tmp_path, "sizes", {"train": 4, "test": 2}, example=example)
    with helpers.usage_error("4x4", "4x5", "image ", "--image_size"):
        load(tmp_path, "sizes", image_size=None)


def test_images_may_be_streamed_from_their_records(pets):
    notes = []
    streamed = load(pets, notify=notes.append, memory_budget=1000)
    assert len(notes) == 1
    assert "18 images of 8x8" in notes[0]
    kept = load(pets)
    assert not isinstance(streamed.train_images, np.ndarray)
    assert streamed.fingerprint() == kept.fingerprint()
    np.testing.assert_array_equal(np.asarray(streamed.train_images), kept.train_images)
    assert streamed.take(5, 2).fingerprint() == kept.take(5, 2).fingerprint()


def test_records_that_are_cut_off_are_reported(pets, tmp_path):
    shutil.copytree(pets / "pets", tmp_path / "pets")
    (path,) = tmp_path.rglob("*train.tfrecord*")
    path.write_bytes(path.read_bytes()[:-10])
    with helpers.usage_error("pets", "can't be read", "--data_dir"):
        load(tmp_path)


def test_labels_that_are_no_class_are_refused(tmp_path):
    def example(split, index):
        return {"image": io.BytesIO(jpeg(index)), "label": -1 if split == "test" else 0}

    prepare(tmp_path, "unlabelled", {"train": 3, "test": 3}, example=example)
    with helpers.usage_error("3 of 3 images", "split test", "-1", "no class"):
        load(tmp_path, "unlabelled")


def test_sets_of_another_kind_are_refused_by_name(tmp_path):
    import tensorflow_datasets as tfds

    image, label = tfds.features.Image(), tfds.features.ClassLabel(names=CLASSES)
    pixels = np.zeros([4, 4, 3], np.uint8)
    kinds = {
        "texts": ({"label": (label, 0)}, "has no image"),
        "plain": ({"image": (image, pixels)}, "has no class label"),
        "pairs": (
            {"one": (image, pixels), "two": (image, pixels), "label": (label, 0)},
            "several images",
        ),
    }
    for name, (features, words) in kinds.items():
        values = {key: value for key, (_, value) in features.items()}
        prepare(
            tmp_path,
            name,
            {"train": 1},
            {key: feature for key, (feature, _) in features.items()},
            lambda split, index, values=values: values,
        )
        with helpers.usage_error(f"tfds:{name}", words, "Its features"):
            load(tmp_path, name)


def test_other_file_formats_give_the_same_images(pets, tmp_path):
    for file_format in ("array_record", "parquet"):
        (tmp_path / file_format).mkdir()
        prepare(tmp_path / file_format, file_format=file_format)
        dataset = load(tmp_path / file_format)
        found = {image.tobytes() for image in dataset.train_images}
        assert found == expected_images(range(12))


def test_images_of_floats_are_refused(tmp_path):
    import tensorflow_datasets as tfds

    features = {
        "image": tfds.features.Image(shape=(4, 4, 1), dtype=np.float32),
        "label": tfds.features.ClassLabel(names=CLASSES),
    }
    example = {"image": np.zeros([4, 4, 1], np.float32), "label": 0}
    prepare(tmp_path, "floats", {"train": 1}, features, lambda *_: example)
    with helpers.usage_error("tfds:floats", "float32", "8 bits per channel"):
        load(tmp_path, "floats")


def test_every_class_tested_needs_training_images(tmp_path):
    def example(split, index):
        label = index % 2 if split == "test" else 0
        return {"image": io.BytesIO(jpeg(index)), "label": label}

    prepare(tmp_path, "lopsided", {"train": 3, "test": 4}, example=example)
    with helpers.usage_error("2 test images", "without a training image: dog"):
        load(tmp_path, "lopsided")


def test_a_single_class_is_refused(tmp_path):
    import tensorflow_datasets as tfds

    features = {
        "image": tfds.features.Image(shape=(None, None, 1)),
        "label": tfds.features.ClassLabel(names=["cat"]),
    }
    example = {"image": io.BytesIO(jpeg(0)), "label": 0}
    prepare(tmp_path, "single", {"train": 1}, features, lambda *_: example)
    with helpers.usage_error("tfds:single has only one class, 'cat'"):
        load(tmp_path, "single")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cifar10/x", ("unknown configuration of cifar10 'x'",)),
        ("cifar10_corrupted/nope", ("'nope'", "brightness_1")),
        ("mnist:1.0.0", ("unknown version of mnist '1.0.0'", "3.0.1")),
        ("pets:2.0.0", ("pets:2.0.0 is not prepared", "has only 1.0.0")),
    ],
)
def test_variants_that_do_not_exist_list_those_that_do(pets, name, words):
    with helpers.usage_error(*words) as caught:
        load(pets, name)
    assert "Delete" not in str(caught.value)


def test_sets_of_another_kind_are_refused_before_a_download(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "host_problem", None)
    with helpers.usage_error("tfds:imdb_reviews", "has no image"):
        load(tmp_path, "imdb_reviews/plain_text")


def test_records_without_an_image_are_damaged(pets, tmp_path):
    import tensorflow as tf

    shutil.copytree(pets / "pets", tmp_path / "pets")
    (path,) = tmp_path.rglob("*train.tfrecord*")
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(tf.train.Example().SerializeToString())
    with helpers.usage_error(f"record 0 of {path} is damaged"):
        load(tmp_path)


def test_an_unknown_set_suggests_the_nearest(tmp_path):
    with helpers.usage_error("unknown data set 'mnst'", "'mnist'", "no such data set"):
        load(tmp_path, "mnst")


def test_being_offline_is_reported(tmp_path, monkeypatch):
    asked = []

    def problem(url):
        asked.append(url)
        return "no route"

    monkeypatch.setattr(files, "host_problem", problem)
    with helpers.usage_error("mnist is not prepared", "no route", "--data_dir"):
        load(tmp_path, "mnist")
    assert asked[0].startswith("http")


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
