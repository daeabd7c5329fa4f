"""One seed makes two, the same ones for every setting."""

import keras
import numpy as np
import pytest

from normtest_tf.training import seeds
from normtest_tf.training.choices import Seeds


def test_a_seed_always_splits_into_the_same_two():
    assert Seeds.split(223) == Seeds.split(223) == Seeds(436566333, 1139875137)


def test_all_seeds_differ_and_fit_31_bits():
    pairs = [Seeds.split(seed) for seed in (0, 1, 2, 2**32 - 1)]
    values = {value for pair in pairs for value in (pair.data, pair.model)}
    assert len(values) == 8
    assert all(0 <= value < 2**31 for value in values)


@pytest.mark.parametrize("seed", [0, 223, 2**31 - 2, 2**31 - 1, 2**31])
@pytest.mark.parametrize("shape", [(7,), (64, 10), (513, 101)])
def test_uniform_draws_tensorflows_numbers(seed, shape):
    drawn = keras.initializers.RandomUniform(-0.3, 0.3, seed=seed)(shape)
    expected = keras.ops.convert_to_numpy(drawn)
    np.testing.assert_array_equal(seeds.uniform(shape, 0.3, seed), expected)
