"""Helpers for the tests of several kinds of data set."""

import contextlib

import numpy as np
import PIL.Image
import pytest

from normtest_tf import datasets, errors

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


def write_pixels(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path)


def write_random(path, size, random):
    """Writes random pixels of a size (width, height)."""
    write_pixels(path, random.integers(0, 256, (size[1], size[0], 3), np.uint8))


def write_folder(root, test="test", images=3):
    """Writes classes cat (red values 10, 11, ...) and dog (20, 21, ...)."""
    for split, first in (("train", 0), (test, 100)):
        for name, base in (("cat", 10), ("dog", 20)):
            for index in range(images):
                value = (first + base + index, 0, 0)
                write_image(root / split / name / f"{index}.png", value)
    return root


def load_folder(root, image_size=None):
    return datasets.load(
        f"folder:{root}", datasets.ReadingOptions(image_size=image_size)
    )


def load_with_note(root):
    """Returns the data set and the one note about it."""
    notes = []
    dataset = datasets.load(f"folder:{root}", notify=notes.append)
    (note,) = notes
    return dataset, note


@contextlib.contextmanager
def usage_error(*words):
    """Expects a `UsageError` of one line that contains each of `words`."""
    with pytest.raises(errors.UsageError) as caught:
        yield caught
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message
