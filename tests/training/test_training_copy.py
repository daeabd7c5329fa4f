"""The copy of a model that is trained."""

import keras
import numpy as np
import pytest

from normtest_tf import backbones
from normtest_tf.training import training_copy
from normtest_tf.training.training_copy import (
    NO_BORDER,
    BatchNormalization,
    Convolution,
)

RNG = np.random.default_rng(0)


def nested_model():
    inner = keras.Sequential(
        [keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()], name="inner"
    )
    inputs = keras.Input((6, 6, 3))
    outputs = keras.layers.BatchNormalization()(inner(inputs))
    return keras.Model(inputs, outputs)


def classes(model):
    """Returns the classes of a model's layers, including nested models'."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += classes(layer)
        elif layer.weights:
            found.append(type(layer))
    return found


def test_a_copy_keeps_weights_and_reaches_nested_models():
    model = nested_model()
    model.set_weights([RNG.uniform(0.5, 1, w.shape) for w in model.get_weights()])
    copy = training_copy.make(model)
    norm = BatchNormalization
    assert classes(copy) == [Convolution, norm, norm]
    norm = keras.layers.BatchNormalization
    assert classes(model) == [keras.layers.Conv2D, norm, norm]
    x = RNG.normal(size=(3, 6, 6, 3)).astype("float32")
    np.testing.assert_allclose(model(x), copy(x), rtol=1e-5, atol=1e-5)


def test_trained_weights_go_back_into_the_model_of_stock_layers():
    model = nested_model()
    copy = training_copy.make(model)
    copy.set_weights([RNG.uniform(0.5, 1, w.shape) for w in copy.get_weights()])
    x = RNG.normal(size=(3, 6, 6, 3)).astype("float32")
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


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_copies_know_the_borders_of_their_convolutions(name):
    model = backbones.get(name).build(weights=None, input_shape=(32, 32, 3))
    copy = training_copy.make(model)
    found = {
        layer.name
        for layer in copy.layers
        if isinstance(layer, Convolution) and layer.border != NO_BORDER
    }
    names = [layer.name for layer in model.layers]
    expected = {n.removesuffix("_pad") for n in names if n.endswith("_pad")}
    assert found == expected - {"maxpool"} != set()
