import keras
import numpy as np
import pytest

from normtest_tf.backbones import layers


def test_a_seeded_linear_layer_does_not_depend_on_the_global_seed():
    def weights(global_seed, seed):
        keras.utils.set_random_seed(global_seed)
        layer = layers.linear(4, 3, name="head", seed=seed)
        layer.build((None, 4))
        return np.concatenate([w.ravel() for w in layer.get_weights()])

    np.testing.assert_array_equal(weights(1, seed=5), weights(2, seed=5))
    assert not np.any(weights(1, seed=5) == weights(1, seed=6))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_a_linear_layer_computes_in_full_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        layer = layers.linear(4, 3, name="head")
    finally:
        keras.config.set_dtype_policy(before)
    assert layer.compute_dtype == ("float64" if policy == "float64" else "float32")
