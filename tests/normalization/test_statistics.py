"""Channel statistics of images, against NumPy in float64."""

import numpy as np
import pytest

from normtest_tf.normalization import channel_statistics


def test_statistics_equal_numpys_in_float64(images):
    statistics = channel_statistics(images, "a test")
    scaled = images.astype(np.float64) / 255
    np.testing.assert_allclose(statistics.mean, scaled.mean((0, 1, 2)), rtol=1e-13)
    np.testing.assert_allclose(statistics.std, scaled.std((0, 1, 2)), rtol=1e-13)
    assert statistics.definition == "pooled"
    assert statistics.source == "a test"


def test_a_constant_channel_gets_std_1_and_is_reported():
    images = np.zeros((4, 8, 8, 3), np.uint8)
    images[0, ..., 0] = 255
    images[..., 1] = 51
    images[1, ..., 2] = 9
    sentences = []
    statistics = channel_statistics(images, "a test", sentences.append)
    assert statistics.std[1] == 1
    assert statistics.mean[1] == pytest.approx(0.2)
    (sentence,) = sentences
    assert sentence.startswith("the green channel of a test is constant")
    with pytest.warns(UserWarning, match="green channel of a test is constant"):
        channel_statistics(images, "a test")


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        (np.zeros((1, 8, 8, 3)), "uint8"),
        (np.zeros((1, 8, 8, 4), np.uint8), "uint8"),
        (np.zeros((8, 8, 3), np.uint8), "uint8"),
        (np.zeros((0, 8, 8, 3), np.uint8), "empty"),
    ],
)
def test_anything_but_rgb_images_is_refused(images, problem):
    with pytest.raises(ValueError, match=problem):
        channel_statistics(images, "a test")
