"""Distances between statistics, by hand."""

import math

import numpy as np
import pytest

from normtest_tf.diagnosis.distances import Moments, distance, rms


def moments(mean, variance):
    return Moments(np.array(mean, float), np.array(variance, float))


def test_a_distance_by_hand():
    one, other = moments([1, 0], [4, 1]), moments([0, 0], [1, 1])
    found = distance(one, other, epsilon=1e-12)
    assert found == pytest.approx(math.sqrt((1 / 2.5 + math.log(2) ** 2) / 2))
    assert distance(other, one, 1e-12) == found
    assert distance(one, one, 1e-5) == 0
    assert rms([3, 4]) == pytest.approx(math.sqrt(12.5))


def test_dead_channels_count_as_the_layer_sees_them():
    found = distance(moments([0], [0]), moments([0], [1e-9]), epsilon=1e-3)
    assert found < 1e-5  # Both are epsilon to the layer.
