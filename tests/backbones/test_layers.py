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


def test_strided_windows_are_padded_alike_on_both_sides():
    """Keras's own `same` would start the windows of an even side one pixel later."""
    x = np.zeros((1, 6, 6, 1), "float32")
    x[0, 0, 0] = 1
    inputs = keras.Input((6, 6, 1))
    convolved = keras.Model(inputs, layers.convolution(inputs, 1, 3, 2, "conv"))
    convolved.set_weights([np.arange(9.0).reshape(3, 3, 1, 1)])
    assert np.array(convolved(x))[0, 0, 0, 0] == 4  # The kernel's centre.
    pooled = keras.Model(inputs, layers.max_pool(inputs, "pool"))(x)
    assert pooled.shape == (1, 3, 3, 1)
    assert np.array(pooled)[0, :, :, 0].tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
