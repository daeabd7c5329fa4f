"""Channel statistics of images, against NumPy in float64."""

import numpy as np
import pytest
import tensorflow as tf

from normtest_tf.normalization import (
    IMAGENET,
    IMAGENET_POOLED,
    MINMAX,
    ChannelStatistics,
    channel_statistics,
)
from normtest_tf.normalization.statistics import (
    gray_statistics,
    mean_of_stds,
    pixel_distance,
)


def test_statistics_equal_numpys_in_float64(images):
    statistics = channel_statistics(images, "a test")
    scaled = images.astype(np.float64) / 255
    np.testing.assert_allclose(statistics.mean, scaled.mean((0, 1, 2)), rtol=1e-13)
    np.testing.assert_allclose(statistics.std, scaled.std((0, 1, 2)), rtol=1e-13)
    assert (statistics.definition, statistics.source) == ("pooled", "a test")


@pytest.mark.parametrize(
    "change",
    [
        lambda images: images,
        lambda images: images.batch(20),
        lambda images: images.map(lambda x: (tf.cast(x, "float32"), 1)).batch(20),
        lambda images: images.map(lambda x: {"image": x, "label": 1}),
        # Of several sizes.
        lambda images: (
            images.take(20)
            .batch(20)
            .concatenate(images.skip(20).map(lambda x: tf.reshape(x, [16, 64, 3])))
        ),
    ],
)
def test_a_data_set_of_tensorflow_has_the_statistics_of_its_images(images, change):
    dataset = change(tf.data.Dataset.from_tensor_slices(images))
    found = channel_statistics(dataset, "a test")
    assert found == channel_statistics(images, "a test")


@pytest.mark.parametrize("measure", [channel_statistics, mean_of_stds, gray_statistics])
def test_what_is_constant_gets_std_1_and_is_reported(measure):
    images = np.full((2, 8, 8, 3), 51, np.uint8)
    if measure is not gray_statistics:
        images[0, :4, :, ::2] = [255, 9]  # Only the green channel is constant.
    notes = []
    statistics = measure(images, "a test", notes.append)
    assert statistics.mean[1] == pytest.approx(0.2)
    assert statistics.std[1] == 1
    channels = "red, green, blue" if measure is gray_statistics else "green"
    assert notes == [f"constant in a test: {channels}; the std is taken as 1"]


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((1, 8, 8, 3), float),
        ((1, 8, 8, 4), np.uint8),
        ((8, 8, 3), np.uint8),
        ((0, 8, 8, 3), np.uint8),
    ],
)
def test_anything_but_rgb_images_is_refused(shape, dtype):
    images = np.zeros(shape, dtype)
    dataset = tf.data.Dataset.from_tensors(
        images / 255 + 0.1 if dtype is float else images
    )
    for each in (images, dataset.repeat(), *[dataset] * (len(shape) == 4)):
        with pytest.raises(ValueError, match="images must be uint8"):
            channel_statistics(each, "a test")


def test_the_pixel_distance_is_that_of_the_images_that_pretrain_normalises():
    images = ChannelStatistics((0.2, 0.3, 0.9), (0.1, 0.2, 0.3), "pooled", "a test")
    mean = (np.array(images.mean) - IMAGENET.mean) / IMAGENET.std
    std = np.array(images.std) / IMAGENET.std
    expected = np.sqrt(np.mean((mean / 1.2) ** 2 + np.log(std / 1.2) ** 2))
    found = pixel_distance(images, IMAGENET)
    assert found == pytest.approx(expected)
    # ImageNet's own images are near; constants without images stand for them.
    assert pixel_distance(IMAGENET_POOLED, IMAGENET) < 0.03
    assert pixel_distance(images, MINMAX) == pixel_distance(images, IMAGENET_POOLED)
    assert found == pytest.approx(pixel_distance(images, IMAGENET_POOLED), rel=0.02)
    assert pixel_distance(images, images) == 0
