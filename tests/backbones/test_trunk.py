"""Where the classifiers of saved networks begin, and what they do to their inputs."""

import keras
import pytest

from normtest_tf.backbones import trunk

L = keras.layers
INPUTS = keras.Input((16, 16, 3))


def convolution():
    return L.Conv2D(5, 3, name="conv")(INPUTS)


def features():
    return L.GlobalAveragePooling2D(name="pool")(convolution())


def dense():
    return L.Dense(4, name="top")(features())


def squeezed(**options):
    """As SqueezeNet ends."""
    x = L.ReLU()(L.Conv2D(4, 1, name="top")(L.Dropout(0.5)(convolution())))
    return L.GlobalAveragePooling2D(**options)(x)


def convolutional():
    """As MobileNet ends."""
    x = L.GlobalAveragePooling2D(keepdims=True, name="pool")(convolution())
    x = L.Conv2D(4, 1, name="top")(L.Dropout(0.1)(x))
    return L.Activation("softmax")(L.Reshape((4,))(x))


def normalised():
    return L.BatchNormalization()(L.Dense(4, use_bias=False, name="top")(features()))


def two_classifiers():
    x = features()
    return L.Dense(4)(x) + L.Dense(4)(x)


@pytest.mark.parametrize(
    ("ending", "before"),
    [
        (dense, "pool"),
        (lambda: L.Dense(4, "softmax", name="top")(L.Dropout(0.2)(features())), "pool"),
        (convolutional, "pool"),
        (lambda: keras.ops.softmax(dense()), "pool"),
        (lambda: keras.ops.sigmoid(dense()), "pool"),
        (lambda: keras.ops.reshape(dense(), (-1, 2, 2)), "pool"),
        (lambda: L.LeakyReLU()(dense()), "pool"),
        (lambda: L.Softmax()(L.PReLU()(dense())), "pool"),
        (lambda: L.Softmax()(dense() / 2.0), "pool"),
        (lambda: L.Rescaling(0.5)(dense()), "pool"),
        (lambda: L.ActivityRegularization(0.1)(L.Identity()(dense())), "pool"),
        (lambda: L.Softmax()(normalised()), "pool"),
        (lambda: L.Activation("softmax")(squeezed()), "conv"),
        (lambda: L.Softmax()(L.Flatten()(squeezed(keepdims=True))), "conv"),
    ],
)
def test_what_follows_a_classifier_is_taken_off_with_it(ending, before):
    found, head = trunk.without_head(keras.Model(INPUTS, ending()))
    assert head == "top"
    assert keras.Model(INPUTS, found).layers[-1].name == before


@pytest.mark.parametrize("ending", [dense, normalised])
def test_a_classifier_may_be_in_a_model_within(ending):
    inner = keras.Model(INPUTS, ending(), name="inner")
    outer = keras.Input((16, 16, 3))
    found, head = trunk.without_head(keras.Model(outer, L.Softmax()(inner(outer))))
    assert (head, found.shape) == ("top", (None, 5))


@pytest.mark.parametrize(
    "ending",
    [
        convolution,
        features,
        normalised,  # It may be a hidden layer.
        lambda: L.UnitNormalization()(dense()),
        lambda: keras.ops.normalize(dense()),
        two_classifiers,
        lambda: keras.ops.max(L.Dense(4)(features()), axis=-1, keepdims=True),
        squeezed,
        lambda: L.Softmax()(features()),
        lambda: L.Activation("sigmoid")(features()),
    ],
)
def test_other_endings_stay(ending):
    model = keras.Model(INPUTS, ending())
    found, head = trunk.without_head(model)
    assert found is model.outputs[0]
    assert head is None


@pytest.mark.parametrize(
    ("preprocess", "names"),
    [
        (L.Rescaling(1 / 255, name="scale"), ["'scale'"]),
        (lambda x: L.Rescaling(2.0, name="scale")(L.ZeroPadding2D()(x)), ["'scale'"]),
        (keras.Sequential([L.Normalization(name="scale")]), ["'scale'"]),
        (lambda x: L.Rescaling(2.0)(L.Conv2D(3, 1)(x)), []),
        (L.ZeroPadding2D(), []),
    ],
)
def test_preprocessing_is_what_comes_before_the_first_weights(preprocess, names):
    model = keras.Model(INPUTS, L.Conv2D(5, 3)(preprocess(INPUTS)))
    assert trunk.preprocessing(model) == names


def test_arithmetic_on_the_inputs_is_preprocessing():
    model = keras.Model(INPUTS, L.Conv2D(5, 3)(INPUTS / 127.5 - 1))
    assert len(trunk.preprocessing(model)) == 2
