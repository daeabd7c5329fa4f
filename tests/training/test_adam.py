"""PyTorch's Adam, against its formula in NumPy."""

import keras
import numpy as np

from normtest_tf.training.recipe import Adam

RNG = np.random.default_rng(0)


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
    optimizer = Adam(1e-3, epsilon=1e-8)
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)])
    expected = adam_in_numpy(np.ones(5), gradients, 1e-3, 1e-8)
    # Keras holds the learning rate as float32.
    np.testing.assert_allclose(variable, expected, rtol=1e-8)
