"""Batches: every example once an epoch, the same ones for the same seed."""

import hashlib

import numpy as np
import pytest

from normtest_tf.datasets import MappedImages
from normtest_tf.training import choices, pipeline


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(1, 256, (23, 8, 6, 3), dtype=np.uint8)


LABELS = np.arange(23)


def batches(images, **options):
    defaults = {"batch_size": 10, "seed": 7, "epochs": range(2)}
    options = defaults | {"augmentation": choices.PAD_CROP_FLIP} | options
    dataset = pipeline.training_batches(images, LABELS, **options)
    return list(dataset.as_numpy_iterator())


def evaluated(images):
    return list(pipeline.evaluation_batches(images, LABELS, 10).as_numpy_iterator())


def assert_equal(some, others):
    for (x, y), (other_x, other_y) in zip(some, others, strict=True):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(y, other_y)


def test_an_epoch_holds_every_example_once_and_keeps_the_short_batch(images):
    result = batches(images)
    assert [len(labels) for _, labels in result] == [10, 10, 3] * 2
    labels = np.concatenate([labels for _, labels in result])
    assert sorted(labels[:23]) == sorted(labels[23:]) == list(LABELS)


def test_epochs_and_seeds_differ_in_order_and_augmentation(images):
    whole = batches(images)
    first, second, other = whole[:3], whole[3:], batches(images, seed=8)[:3]

    def order(epoch):
        return np.concatenate([labels for _, labels in epoch]).tolist()

    def by_label(epoch):
        pixels = np.concatenate([x for x, _ in epoch])
        return pixels[np.argsort(order(epoch))]

    for epoch in (second, other):
        assert order(epoch) != order(first)
        assert (by_label(epoch) != by_label(first)).any()


@pytest.mark.parametrize("augmentation", choices.AUGMENTATIONS)
def test_starting_at_a_later_epoch_gives_that_epochs_batches(images, augmentation):
    whole = batches(images, augmentation=augmentation)
    second = batches(images, augmentation=augmentation, epochs=range(1, 2))
    assert_equal(whole[3:], second)


def test_the_batches_of_the_pytorch_studys_augmentation_never_change():
    """Runs of earlier versions are resumed with the same pixels, and compared."""
    small = np.random.default_rng(1).integers(0, 256, (23, 32, 32, 3), dtype=np.uint8)
    digest = hashlib.sha256()
    for pixels, labels in batches(small):
        digest.update(pixels.tobytes())
        digest.update(labels.tobytes())
    assert digest.hexdigest()[:16] == "bde5959376897ca0"


@pytest.mark.parametrize("kept", ["in a file", "too large to copy"])
def test_batches_are_the_same_wherever_the_images_are(images, kept, monkeypatch):
    starts = (0, 10, 20)
    expected = batches(images)
    in_order = [(images[i : i + 10], LABELS[i : i + 10]) for i in starts]
    assert_equal(evaluated(images), in_order)
    if kept == "in a file":
        images = MappedImages(np.flip(images, 0), np.arange(23)[::-1])
    else:
        monkeypatch.setattr(pipeline, "MAX_COPIED", images.nbytes - 1)
    assert_equal(batches(images), expected)
    assert_equal(evaluated(images), in_order)
