"""Helpers for the tests of several kinds of data set."""

import contextlib
import io

import numpy as np
import PIL.Image
import pytest

from normtest_tf import datasets, errors

SIZE = 4
CIFAR = {"train": 12, "test": 5}


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


def write_random(path, size, random):
    """Writes random pixels of a size (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = random.integers(0, 256, (size[1], size[0], 3), np.uint8)
    PIL.Image.fromarray(pixels).save(path)


def write_folder(root, test="test", images=3):
    """Writes classes cat (red values 10, 11, ...) and dog (20, 21, ...)."""
    for split, first in (("train", 0), (test, 100)):
        for name, base in (("cat", 10), ("dog", 20)):
            for index in range(images):
                value = (first + base + index, 0, 0)
                write_image(root / split / name / f"{index}.png", value)
    return root


def write_photographs(root, count):
    """Writes random images of several sizes in two classes, and returns the folder."""
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        for index in range(count):
            size = tuple(random.integers(9, 20, 2))
            write_random(root / name / f"{index}.png", size, random)
    return root


def load_folder(root, notify=lambda text: None, **options):
    return datasets.load(f"folder:{root}", datasets.ReadingOptions(**options), notify)


def reds(pixels):
    return np.asarray(pixels)[:, 0, 0, 0].tolist()


def jpeg(value, size=(8, 6)):
    """Returns an image of slanted stripes, whose decoding depends on the decoder."""
    columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    grey = (value * 7 + 9 * columns + 5 * rows) % 256
    data = io.BytesIO()
    PIL.Image.fromarray(grey.astype(np.uint8)).save(data, "JPEG")
    data.seek(0)
    return data


def prepare(data_dir, name, splits, features=None, example=None, file_format=None):
    """Prepares a set of TFDS; image i of a split is `jpeg(i)`, with label i % 2."""
    import tensorflow_datasets as tfds

    if features is None:
        label = tfds.features.ClassLabel(names=("cat", "dog"))
        features = {"image": tfds.features.Image(shape=(None, None, 1)), "label": label}
        # As outlines have, of any number of points.
        features["others"] = tfds.features.Tensor(shape=(None,), dtype=np.int32)

    def of_index(split, index):
        first = 100 * list(splits).index(split)
        return {"image": jpeg(first + index), "label": index % 2}

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = data_dir

        def _info(self):
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, *_):
            return {split: self._generate_examples(split) for split in splits}

        def _generate_examples(self, split):
            for index in range(splits[split]):
                others = {"others": np.zeros(index, np.int32)}
                record = (example or of_index)(split, index)
                yield (
                    index,
                    {k: v for k, v in (others | record).items() if k in features},
                )

    Builder.name = name
    Builder(data_dir=data_dir, file_format=file_format).download_and_prepare()


def prepare_cifar10(data_dir):
    """Prepares a tiny CIFAR10 whose image i is a plain i with label i % 10."""
    import tensorflow_datasets as tfds

    def examples(split):
        for index in range(CIFAR[split]):
            image = np.full([32, 32, 3], index + (split == "test") * 100, np.uint8)
            record = {"id": f"{split}_{index:05d}", "image": image, "label": index % 10}
            yield index, record

    class Cifar10(
        type(tfds.builder("cifar10", data_dir=data_dir, try_gcs=False)),
        skip_registration=True,
    ):
        def _split_generators(self, *_, **__):
            return {split: examples(split) for split in CIFAR}

    Cifar10(data_dir=data_dir).download_and_prepare()


@contextlib.contextmanager
def usage_error(*words):
    """Expects a `UsageError` of one line that contains each of `words`."""
    with pytest.raises(errors.UsageError) as caught:
        yield caught
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message
