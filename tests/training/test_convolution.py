"""Convolutions as matrix products, against Keras's own convolutions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from normtest_tf.training import training_copy as convolution

RNG = np.random.default_rng(0)


def layers(shape, border=convolution.NO_BORDER, **options):
    """Returns Keras's layer and ours, with the same weights, in float64."""
    stock = keras.layers.Conv2D(5, dtype="float64", **options)
    ours = convolution.Convolution.from_config(stock.get_config())
    ours.add_border(border)
    for layer in (stock, ours):
        layer.build((None, *shape))
    values = [RNG.normal(size=variable.shape) for variable in stock.variables]
    stock.set_weights(values)
    ours.set_weights(values)
    return stock, ours


def results(layer, x):
    """Returns outputs, and the gradients of inputs and variables."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x)
        sums = tf.reduce_sum(outputs * tf.cos(tf.cast(tf.range(5), "float64")))
    gradients = tape.gradient(sums, [x, *layer.trainable_variables])
    return [np.array(array) for array in (outputs, *gradients)]


def is_product(layer, shape):
    """Tells whether a layer leaves nothing to Keras's convolution."""
    graph = tf.function(layer).get_concrete_function(
        tf.TensorSpec([None, *shape], "float64")
    )
    return "Conv2D" not in {
        operation.type for operation in graph.graph.get_operations()
    }


PRODUCTS = [
    ((1, 1, 4), {"kernel_size": 3, "padding": "same"}),
    ((2, 2, 4), {"kernel_size": 3, "padding": "same"}),
    ((2, 1, 4), {"kernel_size": 3, "padding": "same", "activation": "relu"}),
    ((3, 3, 4), {"kernel_size": 5, "padding": "same"}),
    ((2, 2, 4), {"kernel_size": 3, "padding": "same", "strides": 2}),
    ((2, 2, 4), {"kernel_size": 2, "padding": "valid", "use_bias": False}),
    ((2, 2, 4), {"kernel_size": 1, "strides": 2}),
    ((7, 6, 4), {"kernel_size": 1}),
    ((4, 3, 4), {"kernel_size": (4, 3)}),
    ((4, 4, 4), {"kernel_size": 3, "strides": 2}),  # Its last row is never seen.
]
CONVOLUTIONS = [
    ((3, 3, 4), {"kernel_size": 3, "padding": "same"}),
    ((4, 4, 4), {"kernel_size": 3, "padding": "same", "strides": 2}),
    ((4, 4, 4), {"kernel_size": 1, "strides": 2}),
    ((2, 2, 4), {"kernel_size": 3, "padding": "same", "dilation_rate": 2}),
    ((5, 1, 4), {"kernel_size": 3, "padding": "same"}),
]


@pytest.mark.parametrize(("shape", "options"), PRODUCTS + CONVOLUTIONS)
def test_outputs_and_gradients_are_those_of_keras(shape, options):
    stock, ours = layers(shape, **options)
    assert is_product(ours, shape) == ((shape, options) in PRODUCTS)
    x = RNG.normal(size=(3, *shape))
    for mine, theirs in zip(results(ours, x), results(stock, x), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-12)


def test_a_border_of_zeros_is_left_out():
    border = ((1, 1), (1, 1))
    options = {"kernel_size": 3, "strides": 2}
    stock, ours = layers((4, 4, 4), border, **options)
    x = np.pad(RNG.normal(size=(3, 2, 2, 4)), ((0, 0), *border, (0, 0)))
    (outputs, _, kernel, _), expected = results(ours, x), results(stock, x)
    np.testing.assert_allclose(outputs, expected[0], rtol=1e-12)
    np.testing.assert_allclose(kernel, expected[2], rtol=1e-12)
    # What is in the border is not looked at.
    np.testing.assert_array_equal(ours(x), ours(np.where(x == 0, 7.0, x)))


def test_taps_that_only_see_padding_have_no_gradient():
    _, ours = layers((1, 1, 4), kernel_size=3, padding="same")
    kernel = results(ours, RNG.normal(size=(3, 1, 1, 4)))[2]
    assert kernel[1, 1].all()
    kernel[1, 1] = 0
    np.testing.assert_array_equal(kernel, 0)


def test_maps_of_unknown_size_are_left_to_keras():
    ours = convolution.Convolution(5, 1)
    outputs = ours(keras.Input((None, None, 4)))
    assert outputs.shape == (None, None, None, 5)
