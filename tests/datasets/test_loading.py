"""Images in memory, or in a temporary file if they don't fit there: all is equal."""

import functools
import shutil
import tempfile
import types

import numpy as np
import pytest

from normtest_tf import datasets, normalization
from normtest_tf.normalization.statistics import gray_statistics, mean_of_stds
from normtest_tf.system import memory
from tests.datasets import helpers

SIZE = 6
BYTES = 28 * SIZE * SIZE * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Random images of several sizes: 20 to train on and 8 to test on."""
    root = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for split, count in (("train", 10), ("test", 4)):
        for name in ("cat", "dog"):
            for index in range(count):
                size = tuple(random.integers(5, 20, 2))
                helpers.write_random(root / split / name / f"{index}.png", size, random)
    return root


def load(folder, notify=lambda text: None, **options):
    reading = datasets.ReadingOptions(image_size=SIZE, **options)
    return datasets.load(f"folder:{folder}", reading, notify)


def of_both(folder, **options):
    return load(folder, **options), load(folder, memory_budget=BYTES - 1, **options)


def assert_equal(kept, mapped):
    assert isinstance(kept, np.ndarray)
    assert isinstance(mapped, datasets.MappedImages)
    assert (kept.shape, kept.dtype) == (mapped.shape, mapped.dtype)
    np.testing.assert_array_equal(np.asarray(mapped), kept)


def test_images_in_a_file_are_those_in_memory(folder):
    kept, mapped = of_both(folder, shift="cast:1,0.6,0.3")
    assert_equal(kept.train_images, mapped.train_images)
    assert_equal(kept.test_images, mapped.test_images)
    assert_equal(kept.train_images[3:9], mapped.train_images[3:9])
    for positions in ([0], [5, 0, 3], []):
        positions = np.array(positions, np.int32)
        batch = mapped.train_images.read(positions)
        np.testing.assert_array_equal(batch, kept.train_images[positions])
    for counts in ((7, 3), (None, None, 4)):
        one, other = kept.take(*counts), mapped.take(*counts)
        assert_equal(one.train_images, other.train_images)
        assert one.fingerprint() == other.fingerprint()
    one, other = (
        datasets.split_validation(which, 6, seed=1) for which in (kept, mapped)
    )
    assert one[0].fingerprint() == other[0].fingerprint()
    assert_equal(one[1], other[1])
    np.testing.assert_array_equal(one[2], other[2])
    one, other = (datasets.shifted(which, "invert") for which in (kept, mapped))
    assert_equal(one.train_images, other.train_images)


def test_channel_statistics_are_equal_to_the_last_bit(folder):
    kept, mapped = of_both(folder)
    for measure in (normalization.channel_statistics, mean_of_stds, gray_statistics):
        for part in (slice(None), slice(5, None)):
            expected = measure(kept.train_images[part], "images")
            assert measure(mapped.train_images[part], "images") == expected


def test_the_default_budget_is_half_of_what_is_free(folder, monkeypatch):
    notes = []
    monkeypatch.setattr(memory, "free_bytes", lambda: 2 * BYTES)
    assert isinstance(load(folder, notes.append).train_images, np.ndarray)
    assert notes == []
    monkeypatch.setattr(memory, "free_bytes", lambda: 2 * BYTES - 2)
    assert not isinstance(load(folder, notes.append).train_images, np.ndarray)
    assert "28 images of 6x6 take 3.0 KB" in notes[0]
    assert f"temporary file in {tempfile.gettempdir()}" in notes[0]


def test_the_temporary_file_has_no_name(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert_equal(*(one.train_images for one in of_both(folder)))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_refused(folder, monkeypatch):
    free = types.SimpleNamespace(free=BYTES - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with helpers.usage_error("28 images", "3.0 KB", "TMPDIR"):
        of_both(folder)
    monkeypatch.undo()
    full = functools.partial(open, "/dev/full", "wb")
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with helpers.usage_error("can't write to", "No space left"):
        of_both(folder)
