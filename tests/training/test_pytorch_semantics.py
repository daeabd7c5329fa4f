"""PyTorch's batch normalization and Adam, against their formulas in NumPy."""

import keras
import numpy as np
import pytest

from normtest_tf.training import pytorch_semantics

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
    layer = pytorch_semantics.BatchNormalization(
        momentum=0.9, epsilon=1e-5, dtype=dtype
    )
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
    layer = pytorch_semantics.BatchNormalization(momentum=0, dtype="mixed_bfloat16")
    outputs = layer(x, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    assert layer.moving_mean.dtype == "float32"
    np.testing.assert_allclose(layer.moving_mean, x.mean((0, 1, 2)), rtol=1e-2)


def test_frozen_batch_norm_uses_and_keeps_its_running_statistics():
    layer = pytorch_semantics.BatchNormalization(epsilon=0.0)
    layer.build((None, 2, 2, 3))
    layer.trainable = False
    x = RNG.normal(3, 2, (4, 2, 2, 3)).astype("float32")
    np.testing.assert_allclose(layer(x, training=True), x, rtol=1e-6)
    np.testing.assert_array_equal(layer.moving_mean, 0)


def nested_model():
    inner = keras.Sequential(
        [keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()], name="inner"
    )
    inputs = keras.Input((6, 6, 3))
    outputs = keras.layers.BatchNormalization()(inner(inputs))
    return keras.Model(inputs, outputs)


def batch_norm_classes(model):
    """Returns the classes of a model's batch norms, including nested models'."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += batch_norm_classes(layer)
        elif isinstance(layer, keras.layers.BatchNormalization):
            found.append(type(layer))
    return found


def test_swapping_batch_norm_keeps_weights_and_reaches_nested_models():
    model = nested_model()
    model.set_weights([RNG.uniform(0.5, 1, w.shape) for w in model.get_weights()])
    swapped = pytorch_semantics.with_pytorch_batch_norm(model)
    assert batch_norm_classes(swapped) == [pytorch_semantics.BatchNormalization] * 2
    assert batch_norm_classes(model) == [keras.layers.BatchNormalization] * 2
    x = RNG.normal(size=(3, 6, 6, 3)).astype("float32")
    np.testing.assert_allclose(model(x), swapped(x), rtol=1e-6)


def test_trained_weights_go_back_into_the_model_of_stock_layers():
    model = nested_model()
    swapped = pytorch_semantics.with_pytorch_batch_norm(model)
    swapped.set_weights([RNG.uniform(0.5, 1, w.shape) for w in swapped.get_weights()])
    x = RNG.normal(size=(3, 6, 6, 3)).astype("float32")
    assert not np.allclose(model(x), swapped(x))
    model.set_weights(swapped.get_weights())
    np.testing.assert_allclose(model(x), swapped(x), rtol=1e-6)


def adam_in_numpy(weight, gradients, rate, epsilon):
    """Follows the algorithm box in the documentation of `torch.optim.Adam`."""
    first = second = np.zeros_like(weight)
    for step, gradient in enumerate(gradients, start=1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        first_hat = first / (1 - 0.9**step)
        second_hat = second / (1 - 0.999**step)
        weight = weight - rate * first_hat / (np.sqrt(second_hat) + epsilon)
    return weight


def test_adam_equals_pytorchs_formula_also_for_tiny_gradients():
    # With gradients near epsilon the two definitions of epsilon differ most.
    gradients = RNG.normal(size=(20, 5)) * 1e-7
    variable = keras.Variable(np.ones(5), dtype="float64")
    optimizer = pytorch_semantics.Adam(1e-3, epsilon=1e-8)
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)])
    expected = adam_in_numpy(np.ones(5), gradients, 1e-3, 1e-8)
    # Keras holds the learning rate as float32.
    np.testing.assert_allclose(variable, expected, rtol=1e-8)
