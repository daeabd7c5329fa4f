"""PyTorch's batch normalization, against its formulas in NumPy."""

import keras
import numpy as np
import pytest

from normtest_tf.training.training_copy import BatchNormalization

RNG = np.random.default_rng(0)


def batch_norm_in_numpy(x, gamma, beta, epsilon):
    """Returns outputs, batch mean and the unbiased variance, from the formulas."""
    mean = x.mean((0, 1, 2))
    outputs = (x - mean) / np.sqrt(x.var((0, 1, 2)) + epsilon) * gamma + beta
    return outputs, mean, x.var((0, 1, 2), ddof=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(6, 5, 4, 3), (7, 1, 1, 3)])
def test_batch_norm_trains_as_pytorch(dtype, shape):
    x = RNG.normal(3, 2, shape)
    layer = BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=dtype)
    layer.build(shape)
    gamma, beta = RNG.normal(size=(2, 3))
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    outputs = np.array(layer(x.astype(dtype), training=True))
    expected, mean, variance = batch_norm_in_numpy(x, gamma, beta, 1e-5)
    tolerance = 1e-4 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(outputs, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=tolerance)
    running = 0.9 * 1 + 0.1 * variance
    np.testing.assert_allclose(layer.moving_variance, running, rtol=tolerance)


def test_batch_norm_in_half_precision_keeps_float32_statistics():
    x = RNG.normal(3, 2, (16, 8, 8, 3)).astype("float32")
    layer = BatchNormalization(momentum=0, dtype="mixed_bfloat16")
    outputs = layer(x, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    assert layer.moving_mean.dtype == "float32"
    np.testing.assert_allclose(layer.moving_mean, x.mean((0, 1, 2)), rtol=1e-2)


def test_frozen_batch_norm_uses_and_keeps_its_running_statistics():
    layer = BatchNormalization(epsilon=0.0)
    layer.build((None, 2, 2, 3))
    layer.trainable = False
    x = RNG.normal(3, 2, (4, 2, 2, 3)).astype("float32")
    np.testing.assert_allclose(layer(x, training=True), x, rtol=1e-6)
    np.testing.assert_array_equal(layer.moving_mean, 0)
