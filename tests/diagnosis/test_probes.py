"""The copy that is looked into computes what the model computes."""

import keras
import numpy as np
import pytest

from normtest_tf import backbones, errors
from normtest_tf.diagnosis.parts import normalised
from normtest_tf.diagnosis.probes import Probe
from normtest_tf.normalization import IMAGENET
from tests.training.helpers import small_classifier


@pytest.fixture(scope="module")
def inputs(images):
    return normalised(images, IMAGENET).astype("float32")


def test_features_are_the_models_in_both_modes(resnet, inputs):
    before = resnet.get_weights()
    probe = Probe(resnet)
    stored = probe.see([inputs[:5], inputs[5:]], "stored")
    batch = probe.see([inputs], "batch")
    for mine, own in zip(resnet.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, own)
    expected = resnet(inputs, training=False)
    np.testing.assert_allclose(stored.features, expected, rtol=1e-4, atol=1e-5)
    expected = keras.models.clone_model(resnet)
    expected.set_weights(before)
    np.testing.assert_allclose(
        batch.features, expected(inputs, training=True), rtol=1e-4, atol=1e-5
    )
    assert not np.allclose(stored.features, batch.features, rtol=0.1)


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


def test_stored_moments_of_one_batch_make_the_modes_equal(resnet, inputs):
    probe = Probe(resnet)
    batch = probe.see([inputs], "batch")
    probe.store(batch.moments)
    stored = probe.see([inputs], "stored")
    np.testing.assert_allclose(stored.features, batch.features, rtol=1e-3, atol=1e-4)


def test_a_classifier_around_a_backbone_is_seen_through(inputs):
    classifier = small_classifier()
    backbone = next(x for x in classifier.layers if isinstance(x, keras.Model))
    entry = keras.Input((32, 32, 3))
    model = keras.Model(entry, classifier.layers[-1](backbone(entry)))
    nested, plain = Probe(model), Probe(backbone)
    assert nested.names == plain.names
    assert nested.has_border
    for mode in ("stored", "batch"):
        np.testing.assert_allclose(
            nested.see([inputs], mode).features,
            plain.see([inputs], mode).features,
            rtol=1e-4,
            atol=1e-5,
        )


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


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: keras.layers.Dense(2), "Received: Dense"),
        (lambda: small_classifier(), "pass the part behind.*Functional of uint8"),
        (
            lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]),
            "Sequential of float32",
        ),
        (lambda: keras.Sequential([keras.layers.Dense(2)]), "of no input"),
    ],
)
def test_other_models_are_refused(make, words):
    with pytest.raises(errors.UsageError, match=words):
        Probe(make())


def test_features_that_are_not_finite_are_refused(inputs):
    model = backbones.resolve("cifar_resnet8", "none").build((32, 32, 3))
    weights = model.get_weights()
    weights[0][:] = np.nan
    model.set_weights(weights)
    with pytest.raises(errors.UsageError, match="not finite"):
        Probe(model).see([inputs], "stored")


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


def small(*layers, side=8):
    return keras.Sequential([keras.Input((side, side, 3)), *layers])


def conv_and(norm):
    return small(keras.layers.Conv2D(4, 3), norm, keras.layers.GlobalAveragePooling2D())


def test_subclasses_of_batch_normalization_are_looked_into():
    model = conv_and(Plus(slope=0.3, name="plus"))
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.2, 1, w.shape) for w in model.get_weights()])
    inputs = rng.normal(size=[6, 8, 8, 3]).astype("float32")
    probe = Probe(model)
    assert probe.names == ("plus",)
    for mode, training in (("stored", False), ("batch", True), ("stored", False)):
        before = model.get_weights()
        expected = model(inputs, training=training)
        model.set_weights(before)
        np.testing.assert_allclose(
            probe.see([inputs], mode).features, expected, rtol=1e-4, atol=1e-5
        )


def test_synchronized_batch_normalization_is_looked_into():
    norm = keras.layers.BatchNormalization(synchronized=True, name="synced")
    probe = Probe(conv_and(norm))
    assert probe.names == ("synced",)
    inputs = np.random.default_rng(0).normal(size=[6, 8, 8, 3])
    assert len(probe.see([inputs], "batch").moments) == 1


class Block(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.norm = keras.layers.BatchNormalization()

    def call(self, inputs):
        return self.norm(inputs)


class Subclassed(Block, keras.Model):
    pass


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: small(keras.layers.Lambda(lambda x: 2 * x)), "can't copy the model"),
        (lambda: small(Block()), "can't be looked into"),
        (lambda: small(Subclassed()), "can't be looked into"),
    ],
)
def test_models_that_cannot_be_copied_are_refused_in_one_line(make, words):
    with pytest.raises(errors.UsageError, match=words) as raised:
        Probe(make())
    assert "\n" not in str(raised.value)


def test_images_too_small_for_the_model_are_refused():
    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Conv2D(4, 3),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    with pytest.raises(errors.UsageError, match="images of 1x1"):
        Probe(model).see([np.zeros([2, 1, 1, 3])], "stored")
