"""Batches: every example once an epoch, the same ones for the same seed."""

import hashlib

import numpy as np
import pytest

from normtest_tf.datasets import MappedImages
from normtest_tf.training import choices, pipeline

EVERY = pytest.mark.parametrize("augmentation", choices.AUGMENTATIONS)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(1, 256, (23, 8, 6, 3), dtype=np.uint8)


LABELS = np.arange(23)


def mapped(images):
    """Returns the images as some of those in a file."""
    return MappedImages(np.flip(images, 0), np.arange(len(images))[::-1])


def batches(images, **options):
    defaults = {"batch_size": 10, "seed": 7, "epochs": range(2)}
    options = defaults | {"augmentation": choices.PAD_CROP_FLIP} | options
    dataset = pipeline.training_batches(images, LABELS, **options)
    return list(dataset.as_numpy_iterator())


def test_an_epoch_holds_every_example_once_and_keeps_the_short_batch(images):
    result = batches(images)
    assert [len(labels) for _, labels in result] == [10, 10, 3] * 2
    for epoch in (result[:3], result[3:]):
        labels = np.concatenate([labels for _, labels in epoch])
        assert sorted(labels) == list(LABELS)


@EVERY
def test_the_same_seed_gives_the_same_batches(images, augmentation):
    first, again = (batches(images, augmentation=augmentation) for _ in range(2))
    for (x, y), (again_x, again_y) in zip(first, again, strict=True):
        assert x.dtype == np.uint8
        assert x.shape == (len(y), *images.shape[1:])
        np.testing.assert_array_equal(x, again_x)
        np.testing.assert_array_equal(y, again_y)


def test_epochs_and_seeds_differ_in_order_and_augmentation(images):
    first, second = batches(images)[:3], batches(images)[3:]
    other = batches(images, seed=8)[:3]

    def order(epoch):
        return np.concatenate([labels for _, labels in epoch]).tolist()

    def by_label(epoch):
        pixels = np.concatenate([x for x, _ in epoch])
        return pixels[np.argsort(order(epoch))]

    for epoch in (second, other):
        assert order(epoch) != order(first)
        assert (by_label(epoch) != by_label(first)).any()


@EVERY
def test_starting_at_a_later_epoch_gives_that_epochs_batches(images, augmentation):
    whole = batches(images, augmentation=augmentation)
    second = batches(images, augmentation=augmentation, epochs=range(1, 2))
    for (x, y), (later_x, later_y) in zip(whole[3:], second, strict=True):
        np.testing.assert_array_equal(x, later_x)
        np.testing.assert_array_equal(y, later_y)


def test_the_batches_of_the_pytorch_studys_augmentation_never_change():
    """Runs of earlier versions are resumed with the same pixels, and compared."""
    small = np.random.default_rng(1).integers(0, 256, (23, 32, 32, 3), dtype=np.uint8)
    digest = hashlib.sha256()
    for pixels, labels in batches(small):
        digest.update(pixels.tobytes())
        digest.update(labels.tobytes())
    assert digest.hexdigest()[:16] == "bde5959376897ca0"


def test_evaluation_covers_all_examples_once_in_order(images):
    result = list(pipeline.evaluation_batches(images, LABELS, 10).as_numpy_iterator())
    np.testing.assert_array_equal(np.concatenate([x for x, _ in result]), images)
    np.testing.assert_array_equal(np.concatenate([y for _, y in result]), LABELS)


def test_images_in_a_file_give_the_same_batches(images):
    for (x, y), (mapped_x, mapped_y) in zip(
        batches(images), batches(mapped(images)), strict=True
    ):
        np.testing.assert_array_equal(x, mapped_x)
        np.testing.assert_array_equal(y, mapped_y)


def test_images_in_a_file_are_evaluated_in_order(images):
    kept, mapped_ = (
        list(pipeline.evaluation_batches(one, LABELS, 10).as_numpy_iterator())
        for one in (images, mapped(images))
    )
    assert [len(labels) for _, labels in mapped_] == [10, 10, 3]
    for (x, y), (mapped_x, mapped_y) in zip(kept, mapped_, strict=True):
        np.testing.assert_array_equal(x, mapped_x)
        np.testing.assert_array_equal(y, mapped_y)


def test_images_that_are_too_large_to_copy_give_the_same_batches(images, monkeypatch):
    copied = batches(images)
    evaluated = list(pipeline.evaluation_batches(images, LABELS, 10))
    monkeypatch.setattr(pipeline, "MAX_COPIED", images.nbytes - 1)
    for (x, y), (other_x, other_y) in zip(copied, batches(images), strict=True):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(y, other_y)
    for (x, y), (other_x, other_y) in zip(
        evaluated, pipeline.evaluation_batches(images, LABELS, 10), strict=True
    ):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(y, other_y)


def test_batches_of_images_in_a_file_have_known_shapes(images):
    for one in (images, mapped(images)):
        training = pipeline.training_batches(
            one,
            LABELS,
            batch_size=10,
            seed=7,
            epochs=range(1),
            augmentation=choices.PAD_CROP_FLIP,
        )
        evaluation = pipeline.evaluation_batches(one, LABELS, 10)
        for dataset in (training, evaluation):
            assert dataset.element_spec[0].shape == (None, 8, 6, 3)
