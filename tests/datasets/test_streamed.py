"""Images that stay in their files: the same as in memory."""

import numpy as np
import pytest

from normtest_tf import datasets, normalization
from normtest_tf.datasets.streamed import StreamedImages
from normtest_tf.system import memory
from tests.datasets import helpers

SIZE = 6


@pytest.fixture
def folder(tmp_path):
    """Random images of several sizes: 20 to train on and 8 to test on."""
    random = np.random.default_rng(0)
    for split, count in (("train", 10), ("test", 4)):
        for name in ("cat", "dog"):
            for index in range(count):
                size = tuple(random.integers(5, 20, 2))
                path = tmp_path / split / name / f"{index}.png"
                helpers.write_random(path, size, random)
    return tmp_path


def load(folder, notify=lambda text: None, **options):
    reading = datasets.ReadingOptions(image_size=SIZE, **options)
    return datasets.load(f"folder:{folder}", reading, notify)


def test_what_does_not_fit_is_streamed_and_everything_else_is_equal(folder):
    notes = []
    streamed, kept = (
        load(folder, notes.append, memory_budget=28 * 108 - 1),
        load(folder),
    )
    assert isinstance(streamed.train_images, StreamedImages)
    assert isinstance(kept.train_images, np.ndarray)
    assert "28 images of 6x6 would take 3.0 KB" in notes[0]
    assert streamed.fingerprint() == kept.fingerprint()
    assert streamed.image_shape == kept.image_shape
    for one, other in (
        (streamed.train_images, kept.train_images),
        (streamed.test_images, kept.test_images),
        (streamed.train_images[3:9], kept.train_images[3:9]),
        (streamed.take(7).train_images, kept.take(7).train_images),
    ):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(np.asarray(one), other)
        np.testing.assert_array_equal(np.concatenate(list(one.blocks())), other)
        for positions in ([0], [5, 0, 3], []):
            positions = np.array(positions, np.int32)
            np.testing.assert_array_equal(one.read(positions), other[positions])
    assert streamed.take(7, 3).fingerprint() == kept.take(7, 3).fingerprint()


def test_what_just_fits_stays_in_memory(folder):
    kept = load(folder, memory_budget=28 * 108)
    assert isinstance(kept.train_images, np.ndarray)


def test_channel_statistics_are_equal_to_the_last_bit(folder):
    streamed, kept = load(folder, memory_budget=1000), load(folder)
    for one, other in (
        (streamed.train_images, kept.train_images),
        (streamed.train_images[5:], kept.train_images[5:]),
    ):
        assert normalization.channel_statistics(
            one, "images"
        ) == normalization.channel_statistics(other, "images")


def test_the_whole_sets_values_are_counted_while_it_is_loaded(folder, monkeypatch):
    streamed = load(folder, memory_budget=1000)
    monkeypatch.setattr(StreamedImages, "blocks", None)
    assert streamed.train_images.channel_counts().sum() == 20 * SIZE * SIZE * 3


def test_a_validation_split_is_equal(folder):
    parts = [
        datasets.split_validation(load(folder, **options), 6, seed=1)
        for options in ({"memory_budget": 1000}, {})
    ]
    (rest, images, labels), (other_rest, other_images, other_labels) = parts
    np.testing.assert_array_equal(np.asarray(images), other_images)
    np.testing.assert_array_equal(labels, other_labels)
    assert rest.fingerprint() == other_rest.fingerprint()


def test_a_file_that_vanishes_is_reported_and_remembered(folder):
    streamed = load(folder, memory_budget=1000)
    for path in (folder / "train" / "cat").iterdir():
        path.unlink()
    with helpers.usage_error("can't be read") as caught:
        streamed.train_images.read(np.arange(20))
    assert streamed.train_images.failure is caught.value


def test_an_image_that_becomes_larger_is_reported(tmp_path):
    helpers.write_folder(tmp_path)
    streamed = datasets.load(
        f"folder:{tmp_path}", datasets.ReadingOptions(memory_budget=100)
    )
    helpers.write_image(tmp_path / "train" / "cat" / "0.png", size=(9, 7))
    with helpers.usage_error("has become 9x7"):
        streamed.train_images.read(np.arange(6))


def test_a_budget_too_small_for_a_batch_is_refused(folder):
    words = ("--memory_budget=1.0 KB", "batch of 16 images. Pass 2KB", "--batch_size")
    with helpers.usage_error(*words):
        load(folder, memory_budget=1000, batch_size=16)
    # There are only 20.
    load(folder, memory_budget=20 * 108, batch_size=1000)


def test_the_default_budget_is_half_of_what_is_free(folder, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda: 2 * 28 * 108)
    assert isinstance(load(folder).train_images, np.ndarray)
    monkeypatch.setattr(memory, "free_bytes", lambda: 2 * 28 * 108 - 2)
    assert isinstance(load(folder).train_images, StreamedImages)
