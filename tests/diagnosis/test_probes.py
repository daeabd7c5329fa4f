"""The copy that is looked into computes what the model computes."""

import keras
import numpy as np
import pytest

from normtest_tf import errors
from normtest_tf.diagnosis.parts import normalised
from normtest_tf.diagnosis.probes import Probe
from normtest_tf.normalization import IMAGENET
from tests.training.helpers import small_classifier


@pytest.fixture(scope="module")
def inputs(images):
    return normalised(images, IMAGENET).astype("float32")


def test_moments_are_those_of_each_layers_inputs(resnet, inputs):
    norms = [
        layer
        for layer in resnet.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    probe = Probe(resnet)
    assert probe.names == tuple(layer.name for layer in norms)
    seen = probe.see([inputs[:7], inputs[7:]], "stored")  # Unequal batches.
    entering = keras.Model(resnet.inputs[0], [layer.input for layer in norms])
    for found, values in zip(seen.moments, entering(inputs), strict=True):
        flat = np.asarray(values).reshape(-1, values.shape[-1]).astype(float)
        np.testing.assert_allclose(found.mean, flat.mean(0), rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(found.variance, flat.var(0), rtol=1e-3, atol=1e-6)
    for stored, layer in zip(probe.stored(), norms, strict=True):
        np.testing.assert_array_equal(stored.mean, layer.moving_mean)
        np.testing.assert_array_equal(stored.variance, layer.moving_variance)


def test_the_borders_convolution_is_found_or_not():
    entry = keras.Input((8, 8, 3))
    conv = keras.layers.Conv2D(4, 3, name="conv")

    def found(x):
        features = keras.layers.GlobalAveragePooling2D()(x)
        return Probe(keras.Model(entry, features)).has_border

    assert found(conv(keras.layers.ZeroPadding2D(1)(entry)))
    assert found(keras.Sequential([keras.Input((8, 8, 3)), conv])(entry))
    assert not found(conv(keras.layers.Rescaling(2.0)(entry)))
    assert not found(keras.layers.Conv2D(4, 3, activation="relu")(entry))
    both = [keras.layers.Conv2D(4, 3)(entry), keras.layers.Conv2D(4, 3)(entry)]
    assert not found(keras.layers.Add()(both))


class Plus(keras.layers.BatchNormalization):
    """Batch normalization with an activation and an argument of its own."""

    def __init__(self, slope=0.1, **options):
        super().__init__(**options)
        self.slope = slope

    def call(self, inputs, training=None):
        outputs = super().call(inputs, training=training)
        return keras.ops.leaky_relu(outputs, self.slope)

    def get_config(self):
        return super().get_config() | {"slope": self.slope}


def small(*layers):
    return keras.Sequential([keras.Input((32, 32, 3)), *layers])


def with_norm(norm):
    """Returns a small network with random weights."""
    pool = keras.layers.GlobalAveragePooling2D()
    model = small(keras.layers.Conv2D(4, 3), norm, pool)
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.2, 1, w.shape) for w in model.get_weights()])
    return model, model


def classifier():
    """Returns a classifier of normalised images, and the backbone in it."""
    layers = small_classifier().layers
    backbone = next(layer for layer in layers if isinstance(layer, keras.Model))
    entry = keras.Input((32, 32, 3))
    return keras.Model(entry, layers[-1](backbone(entry))), backbone


MODELS = {
    "classifier": classifier,
    "subclass": lambda: with_norm(Plus(slope=0.3)),
    "synchronized": lambda: with_norm(
        keras.layers.BatchNormalization(synchronized=True)
    ),
}


@pytest.mark.parametrize("kind", MODELS)
def test_features_are_the_models_in_both_modes(kind, inputs):
    model, backbone = MODELS[kind]()
    before = model.get_weights()
    probe = Probe(model)
    assert len(probe.names) == (9 if kind == "classifier" else 1)
    assert probe.has_border
    stored = probe.see([inputs[:5], inputs[5:]], "stored")
    batch = probe.see([inputs], "batch")
    for mine, own in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, own)
    close = {"rtol": 1e-4, "atol": 1e-5}
    expected = backbone(inputs, training=False)
    np.testing.assert_allclose(stored.features, expected, **close)
    with pytest.raises(errors.UsageError, match="not finite"):
        probe.see([inputs * np.inf], "stored")
    probe.store(batch.moments)  # Of one batch: then the modes are equal.
    again = probe.see([inputs], "stored")
    np.testing.assert_allclose(again.features, batch.features, rtol=1e-3, atol=1e-4)
    assert not np.allclose(stored.features, batch.features, rtol=0.1)
    if kind != "synchronized":  # That needs several devices.
        expected = backbone(inputs, training=True)
        np.testing.assert_allclose(batch.features, expected, **close)


class Block(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.norm = keras.layers.BatchNormalization()

    def call(self, inputs):
        return self.norm(inputs)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (small_classifier, "pass the part behind.*Functional of uint8"),
        (lambda: keras.Sequential([keras.layers.Dense(2)]), "of no input"),
        (lambda: small(Block()), "can't be looked into"),
    ],
)
def test_other_models_are_refused(make, words):
    with pytest.raises(errors.UsageError, match=words):
        Probe(make())
