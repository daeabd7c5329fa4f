"""Batches: every example once an epoch, the same pixels for the same seed."""

import hashlib

import numpy as np
import PIL.Image
import pytest
import scipy.stats
import tensorflow as tf

from experiments.support import pytorch
from normtest_tf.datasets import MappedImages
from normtest_tf.training import choices, pipeline


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(1, 256, (23, 8, 6, 3), dtype=np.uint8)


LABELS = np.arange(23)


def batches(images, **options):
    epochs = options.pop("epochs", range(2))
    split = pipeline.Split(images, LABELS)
    data = pipeline.TrainingData(split, {}, **{"seed": 7, **options})
    return list(pipeline.training_batches(data, 10, epochs).as_numpy_iterator())


def evaluated(images):
    split = pipeline.Split(images, LABELS)
    return list(pipeline.evaluation_batches(split, 10).as_numpy_iterator())


def assert_equal(some, others):
    for (x, y), (other_x, other_y) in zip(some, others, strict=True):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(y, other_y)


def test_an_epoch_holds_every_example_once_and_keeps_the_short_batch(images):
    result = batches(images)
    assert [len(labels) for _, labels in result] == [10, 10, 3] * 2
    labels = np.concatenate([labels for _, labels in result])
    assert sorted(labels[:23]) == sorted(labels[23:]) == list(LABELS)


def test_no_thread_tunes_a_pipeline_whose_end_would_wait_for_it(images):
    split = pipeline.Split(images, LABELS)
    data = pipeline.TrainingData(split, {}, seed=7)
    training = pipeline.training_batches(data, 10, range(1))
    for made in (training, pipeline.evaluation_batches(split, 10)):
        assert made.options().autotune.enabled is False


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
    if kept == "too large to copy":  # As features are, perhaps.
        assert_equal(evaluated(images.astype("float32")), in_order)


KEY = tf.constant([1, 2])


def augment(name, images, key=KEY):
    return pipeline.AUGMENTATIONS[name](tf.constant(images), key).numpy()


def random_images(count, height, width):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def test_shift_and_flip_equals_numpy_for_every_offset():
    offsets = np.array([(row, column) for row in range(9) for column in range(9)])
    flips = np.arange(len(offsets)) % 2 == 0
    images = random_images(len(offsets), 8, 6)
    outputs = pipeline.shift_and_flip(
        *map(tf.constant, (images, offsets.astype("int32"), flips)), padding=4
    ).numpy()
    padded = np.pad(images, [(0, 0), (4, 4), (4, 4), (0, 0)])
    for index, (row, column) in enumerate(offsets):
        crop = padded[index, row : row + 8, column : column + 6]
        expected = crop[:, ::-1] if flips[index] else crop
        np.testing.assert_array_equal(outputs[index], expected)


@pytest.mark.parametrize("padding", [1, 4])
def test_offsets_are_uniform(padding):
    # A single bright pixel shows where its image has moved.
    size, number = 8 * padding, 2 * padding + 1
    marked = np.zeros((6000, size, size, 1), np.uint8)
    marked[:, size // 2, size // 2] = 255
    _, *places, _ = np.nonzero(augment(choices.PAD_CROP_FLIP, marked))
    for axis, found in enumerate(places):
        # A flip moves the pixel in the middle by one.
        first = size // 2 - padding - axis
        counts = np.bincount(found - first, minlength=number + axis)
        inner = counts[axis:number]
        assert counts.sum() == 6000
        assert abs(inner - 6000 / number).max() < 4 * np.sqrt(6000 / number)


def reference_box(rng, height, width):
    """Draws a crop as torchvision's `RandomResizedCrop.get_params` does."""
    for _ in range(10):
        area = height * width * rng.uniform(0.08, 1.0)
        ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        h, w = round(np.sqrt(area / ratio)), round(np.sqrt(area * ratio))
        if 0 < h <= height and 0 < w <= width:
            return rng.integers(height - h + 1), rng.integers(width - w + 1), h, w
    if width / height < 3 / 4:
        h, w = round(width / (3 / 4)), width
    elif width / height > 4 / 3:
        h, w = height, round(height * (4 / 3))
    else:
        h, w = height, width
    return (height - h) // 2, (width - w) // 2, h, w


@pytest.mark.parametrize("shape", [(224, 224), (40, 40), (12, 40), (33, 9), (1, 1)])
def test_crops_are_distributed_as_torchvisions(shape):
    boxes = pipeline.crop_boxes(KEY, tf.constant(8000), *shape).numpy()
    rng = np.random.default_rng(3)
    expected = np.array([reference_box(rng, *shape) for _ in range(8000)])
    assert (boxes[:, 2:] > 0).all()
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= shape).all()
    assert_same_distribution(boxes, expected)


def described(boxes):
    _, _, height, width = boxes.T
    return (*boxes.T, height * width, width / height)


def assert_same_distribution(boxes, expected):
    for one, other in zip(described(boxes), described(expected), strict=True):
        # Above 1.95, chance would be 1 in 1000 for continuous values, less for these.
        distance = scipy.stats.ks_2samp(one, other).statistic
        assert distance * np.sqrt(len(boxes) / 2) < 1.95


@pytest.mark.torch
@pytest.mark.parametrize("shape", [(224, 224), (12, 40)])
def test_torchvisions_crops_are_distributed_as_ours(shape):
    import torch

    transforms = pytorch.import_module("torchvision.transforms")
    torch.manual_seed(0)
    blank = torch.zeros(3, *shape)
    crops = transforms.RandomResizedCrop(shape)
    theirs = [crops.get_params(blank, crops.scale, crops.ratio) for _ in range(4000)]
    ours = pipeline.crop_boxes(KEY, tf.constant(4000), *shape).numpy()
    assert_same_distribution(ours, np.array(theirs))


@pytest.mark.parametrize("size", [7, 32, 65, 224])
def test_resized_crops_equal_pillows(size):
    rng = np.random.default_rng(size)
    sizes = rng.integers(1, size + 1, (40, 2))
    anywhere = np.hstack([rng.integers(0, size - sizes + 1), sizes])
    special = [(0, 0, size, size), (0, 0, 1, 1), (size - 1, size - 1, 1, 1)]
    boxes = np.vstack([special, anywhere]).astype(np.int32)
    images = random_images(len(boxes), size, size)
    outputs = pipeline.crop_and_resize(tf.constant(images), tf.constant(boxes))
    expected = []
    for image, (top, left, height, width) in zip(images, boxes.tolist(), strict=True):
        crop = PIL.Image.fromarray(image).crop((left, top, left + width, top + height))
        expected.append(crop.resize((size, size), PIL.Image.Resampling.BILINEAR))
    differences = outputs.numpy().astype(int) - np.stack(expected)
    assert abs(differences).max() <= 1
    # Both round, Pillow twice; cutting digits off would give 0.5.
    assert abs(differences.mean()) < 0.05


@pytest.mark.parametrize("shape", [(16, 16), (9, 14)])
@pytest.mark.parametrize("name", choices.AUGMENTATIONS)
def test_the_same_key_gives_the_same_pixels(name, shape):
    images = random_images(20, *shape)
    first, again = augment(name, images), augment(name, images)
    assert first.dtype == np.uint8
    assert first.shape == images.shape
    np.testing.assert_array_equal(first, again)
    other = augment(name, images, tf.constant([1, 3]))
    assert (first != other).any() == (name != choices.NONE)
    # An image's neighbours in a batch don't matter, but its place does.
    assert (augment(name, images[::-1])[::-1] != first).any() == (name != choices.NONE)


def test_all_augmentations_mirror_the_same_images():
    ramp = np.linspace(0, 255, 48).astype(np.uint8)
    images = np.broadcast_to(ramp[:, np.newaxis], (200, 48, 48, 3))
    mirrored = {}
    for name in choices.AUGMENTATIONS:
        left, right = np.split(augment(name, images).astype(int), 2, axis=2)
        mirrored[name] = (left.mean((1, 2, 3)) > right.mean((1, 2, 3))).tolist()
    assert not any(mirrored.pop("none"))
    assert 70 < sum(mirrored["flip"]) < 130
    assert all(flips == mirrored["flip"] for flips in mirrored.values())


def test_flip_does_nothing_else():
    images = random_images(30, 5, 6)
    for image, output in zip(images, augment(choices.FLIP, images), strict=True):
        assert output.tobytes() in (image.tobytes(), image[:, ::-1].tobytes())
