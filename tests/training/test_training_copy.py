"""The copy of a model that is trained, against Keras's layers and NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from normtest_tf import backbones
from normtest_tf.backbones.layers import leaves
from normtest_tf.training import training_copy
from normtest_tf.training.training_copy import BatchNormalization, Convolution

RNG = np.random.default_rng(0)


def nested_model():
    inner = keras.Sequential(
        [keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()], name="inner"
    )
    inputs = keras.Input((6, 6, 3))
    outputs = keras.layers.BatchNormalization()(inner(inputs))
    return keras.Model(inputs, outputs)


def test_a_copy_has_the_models_weights_and_gives_them_back():
    model = nested_model()
    model.set_weights([RNG.uniform(0.5, 1, w.shape) for w in model.get_weights()])
    copy = training_copy.make(model)
    kinds = [type(layer) for layer in leaves(copy) if layer.weights]
    assert kinds == [Convolution, BatchNormalization, BatchNormalization]
    x = RNG.normal(size=(3, 6, 6, 3)).astype("float32")
    np.testing.assert_allclose(model(x), copy(x), rtol=1e-5, atol=1e-5)
    copy.set_weights([RNG.uniform(0.5, 1, w.shape) for w in copy.get_weights()])
    assert not np.allclose(model(x), copy(x))
    model.set_weights(copy.get_weights())
    np.testing.assert_allclose(model(x), copy(x), rtol=1e-5, atol=1e-5)


def test_subclasses_and_shared_layers_are_kept():
    class Doubling(keras.layers.Conv2D):
        def call(self, inputs):
            return 2 * super().call(inputs)

    shared = keras.layers.Conv2D(3, 3, strides=2)
    inputs = keras.Input((4, 4, 3))
    padded = keras.layers.ZeroPadding2D(1)(Doubling(3, 1, strides=2)(inputs))
    model = keras.Model(inputs, shared(inputs) + shared(padded))
    copy = training_copy.make(model)
    x = RNG.normal(size=(3, 4, 4, 3)).astype("float32")
    np.testing.assert_allclose(model(x), copy(x), rtol=1e-5)


def test_copies_know_the_borders_of_their_convolutions():
    model = backbones.get("resnet18").build(weights=None, input_shape=(32, 32, 3))
    copy = training_copy.make(model)
    found = {
        layer.name
        for layer in copy.layers
        if isinstance(layer, Convolution) and layer.border != training_copy.NO_BORDER
    }
    names = [layer.name for layer in model.layers]
    expected = {n.removesuffix("_pad") for n in names if n.endswith("_pad")}
    assert found == expected - {"maxpool"} != set()


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
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    expected = (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    tolerance = 1e-4 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(outputs, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=tolerance)
    running = 0.9 * 1 + 0.1 * x.var((0, 1, 2), ddof=1)
    np.testing.assert_allclose(layer.moving_variance, running, rtol=tolerance)


def test_batch_norm_in_half_precision_keeps_float32_statistics():
    x = RNG.normal(3, 2, (16, 8, 8, 3)).astype("float32")
    layer = BatchNormalization(momentum=0, dtype="mixed_bfloat16")
    assert layer(x, training=True).dtype == "bfloat16"
    assert layer.moving_mean.dtype == "float32"
    np.testing.assert_allclose(layer.moving_mean, x.mean((0, 1, 2)), rtol=1e-2)


def test_frozen_batch_norm_uses_and_keeps_its_running_statistics():
    layer = BatchNormalization(epsilon=0.0)
    layer.build((None, 2, 2, 3))
    layer.trainable = False
    x = RNG.normal(3, 2, (4, 2, 2, 3)).astype("float32")
    np.testing.assert_allclose(layer(x, training=True), x, rtol=1e-6)
    np.testing.assert_array_equal(layer.moving_mean, 0)


def layers(shape, border=training_copy.NO_BORDER, **options):
    """Returns Keras's layer and ours, with the same weights, in float64."""
    stock = keras.layers.Conv2D(5, dtype="float64", **options)
    ours = Convolution.from_config(stock.get_config())
    ours.border = border
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
    inputs = tf.TensorSpec([None, *shape], "float64")
    graph = tf.function(layer).get_concrete_function(inputs).graph
    return "Conv2D" not in {operation.type for operation in graph.get_operations()}


PRODUCTS = [
    ((1, 1, 4), {"kernel_size": 3, "padding": "same"}),
    ((2, 2, 4), {"kernel_size": 3, "padding": "same"}),
    ((2, 1, 4), {"kernel_size": 3, "padding": "same", "activation": "relu"}),
    ((2, 2, 4), {"kernel_size": 3, "padding": "same", "strides": 2}),
    ((2, 2, 4), {"kernel_size": 2, "padding": "valid", "use_bias": False}),
    ((7, 6, 4), {"kernel_size": 1}),
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
    # Maps of unknown size are left to Keras.
    assert ours(keras.Input((None, None, 4))).shape == (None, None, None, 5)
    x = RNG.normal(size=(3, *shape))
    for mine, theirs in zip(results(ours, x), results(stock, x), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-12)


def test_a_border_of_zeros_is_left_out():
    border = ((1, 1), (1, 1))
    options = {"kernel_size": 3, "strides": 2}
    stock, ours = layers((4, 4, 4), border, **options)
    x = np.pad(RNG.normal(size=(3, 2, 2, 4)), ((0, 0), *border, (0, 0)))
    for index in (0, 2):  # The outputs, and the kernel's gradient.
        mine, theirs = results(ours, x)[index], results(stock, x)[index]
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)
    # What is in the border is not looked at.
    np.testing.assert_array_equal(ours(x), ours(np.where(x == 0, 7.0, x)))


def test_taps_that_only_see_padding_have_no_gradient():
    _, ours = layers((1, 1, 4), kernel_size=3, padding="same")
    kernel = results(ours, RNG.normal(size=(3, 1, 1, 4)))[2]
    assert kernel[1, 1].all()
    kernel[1, 1] = 0
    np.testing.assert_array_equal(kernel, 0)
