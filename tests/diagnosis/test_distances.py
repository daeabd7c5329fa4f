"""Distances between statistics, by hand."""

import math

import numpy as np
import pytest

from normtest_tf.diagnosis import Moments, distance
from normtest_tf.diagnosis.distances import distances, overall


def moments(mean, variance):
    return Moments(np.array(mean, float), np.array(variance, float))


def test_a_distance_by_hand():
    one = moments([1, 0], [4, 1])
    other = moments([0, 0], [1, 1])
    found = distance(one, other, epsilon=1e-12)
    assert found.shift == pytest.approx(math.sqrt((1 / 2.5) / 2))
    assert found.spread == pytest.approx(math.log(2) / math.sqrt(2))
    assert found.total == pytest.approx(math.hypot(found.shift, found.spread))


def test_it_is_symmetric_and_0_for_equals():
    one, other = moments([1, -2], [4, 0.5]), moments([0, 3], [1, 7])
    assert distance(one, other, 1e-5) == distance(other, one, 1e-5)
    assert distance(one, one, 1e-5).total == 0


def test_dead_channels_count_as_the_layer_sees_them():
    found = distance(moments([0], [0]), moments([0], [1e-9]), epsilon=1e-3)
    assert found.total < 1e-5  # Both are epsilon to the layer.


def test_overall_is_the_root_mean_square_over_layers():
    ones = [moments([1], [1]), moments([0], [1])]
    found = distances(ones, [moments([0], [1])] * 2, [1e-12] * 2)
    assert overall(found) == pytest.approx(math.sqrt(1 / 2))
