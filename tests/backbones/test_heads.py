"""Where the classifiers of saved networks begin."""

import keras
import pytest

from normtest_tf.backbones import heads

L = keras.layers
INPUTS = keras.Input((16, 16, 3))


def features():
    return L.GlobalAveragePooling2D(name="pool")(L.Conv2D(5, 3, name="conv")(INPUTS))


def dense():
    return L.Dense(4, name="top")(features())


def squeezed(**options):
    """As SqueezeNet ends."""
    x = L.Dropout(0.5)(L.Conv2D(5, 3, name="conv")(INPUTS))
    x = L.ReLU()(L.Conv2D(4, 1, name="top")(x))
    return L.GlobalAveragePooling2D(**options)(x)


def normalised():
    return L.BatchNormalization()(L.Dense(4, use_bias=False, name="top")(features()))


def two_classifiers():
    x = features()
    return L.Dense(4)(x) + L.Dense(4)(x)


@pytest.mark.parametrize(
    ("ending", "before"),
    [
        (lambda: keras.ops.softmax(dense()), "pool"),
        (lambda: keras.ops.sigmoid(dense()), "pool"),
        (lambda: keras.ops.reshape(dense(), (-1, 2, 2)), "pool"),
        (lambda: L.ReLU()(dense()), "pool"),
        (lambda: L.LeakyReLU()(dense()), "pool"),
        (lambda: L.ELU()(dense()), "pool"),
        (lambda: L.Softmax()(L.PReLU()(dense())), "pool"),
        (lambda: L.Softmax()(dense() / 2.0), "pool"),
        (lambda: L.Rescaling(0.5)(dense()), "pool"),
        (lambda: L.Softmax()(normalised()), "pool"),
        (lambda: L.Activation("softmax")(squeezed()), "conv"),
        (lambda: L.Softmax()(L.Flatten()(squeezed(keepdims=True))), "conv"),
    ],
)
def test_what_follows_a_classifier_is_taken_off_with_it(ending, before):
    found, head = heads.without(keras.Model(INPUTS, ending()))
    assert head == "top"
    assert keras.Model(INPUTS, found).layers[-1].name == before


def test_probabilities_may_be_made_outside_of_the_model_with_the_classifier():
    inner = keras.Model(INPUTS, normalised(), name="inner")
    outer = keras.Input((16, 16, 3))
    found, head = heads.without(keras.Model(outer, L.Softmax()(inner(outer))))
    assert (head, found.shape) == ("top", (None, 5))


@pytest.mark.parametrize(
    ("ending", "makes"),
    [
        (features, False),
        (normalised, False),  # It may be a hidden layer.
        (lambda: L.UnitNormalization()(dense()), False),
        (lambda: keras.ops.normalize(dense()), False),
        (two_classifiers, False),
        (lambda: keras.ops.max(L.Dense(4)(features()), axis=-1, keepdims=True), False),
        (squeezed, False),
        (lambda: L.Softmax()(features()), True),
        (lambda: keras.ops.softmax(features()), True),
        (lambda: L.Activation("sigmoid")(features()), True),
    ],
)
def test_other_endings_stay(ending, makes):
    model = keras.Model(INPUTS, ending())
    found, head = heads.without(model)
    assert found is model.outputs[0]
    assert head is None
    assert heads.makes_probabilities(model) == makes
