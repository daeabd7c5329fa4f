"""What is trained, and what stays as it is."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from normtest_tf import backbones, errors
from normtest_tf.training import choices, loop, regimes, training_copy
from normtest_tf.training.recipe import Recipe
from tests.training.helpers import SPLIT, linear_model, small_classifier


def trained(model, regime):
    """Returns what is trained, after two steps, and the paths of changed weights."""
    copy = regimes.freeze(training_copy.make(model), regime)
    before = copy.get_weights()
    data = loop.TrainingData(SPLIT, {}, seed=0)
    loop.fit(copy, Recipe(epochs=1, batch_size=10), data, lambda row: None)
    pairs = zip(copy.weights, before, copy.get_weights(), strict=True)
    return copy, {w.path for w, old, new in pairs if not np.array_equal(old, new)}


def test_each_regime_trains_what_it_says_and_nothing_else():
    model = small_classifier(weights="cifar10")
    paths = {weight.path for weight in model.weights}
    statistics = {p for p in paths if "/moving_" in p}
    of_bn = statistics | {p for p in paths if p.endswith(("/gamma", "/beta"))}
    head = {p for p in paths if p.startswith("head/")}
    expected = {"all": paths, "head": head, "frozen_bn": paths - of_bn}
    assert expected.keys() == choices.REGIMES.keys()
    assert len(head) == 2
    assert len(statistics) == 18
    for regime, those in expected.items():
        copy, changed = trained(model, regime)
        # A layer around another adds its name.
        found = {path.removeprefix("cifar_resnet8/") for path in changed}
        assert found == those, regime
        assert len(copy.trainable_variables) == len(those - statistics)
        model.set_weights(copy.get_weights())
        mine, theirs = (m.predict(SPLIT.images, verbose=0) for m in (model, copy))
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)
    assert all(layer.trainable for layer in model.layers)


def test_a_frozen_backbone_has_neither_dropout_nor_gradients():
    inputs = keras.Input((8,))
    hidden = keras.layers.Dense(16)(inputs)
    outputs = keras.layers.Dense(2)(keras.layers.Dropout(0.5)(hidden))
    model = keras.Model(inputs, outputs)
    x = np.random.default_rng(0).normal(size=(4, 8)).astype("float32")
    copy = regimes.freeze(training_copy.make(model), "all")
    assert np.abs(copy(x, training=True) - model(x)).max() > 0.01
    copy = regimes.freeze(training_copy.make(model), "head")
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = copy(x, training=True)
    np.testing.assert_allclose(outputs, model(x), rtol=1e-5)
    assert tape.gradient(outputs, x) is None  # Which makes it much faster.


@pytest.mark.parametrize(
    ("regime", "recalibrate", "flag"),
    [("frozen_bn", False, "--train=frozen_bn"), ("head", True, "--recalibrate")],
)
def test_batch_normalization_is_needed_where_it_is_frozen(regime, recalibrate, flag):
    with pytest.raises(errors.UsageError, match=f"^{flag} needs a network with batch"):
        regimes.check(linear_model(), regime, recalibrate=recalibrate)
    regimes.check(linear_model(), "head")
    regimes.check(small_classifier(), regime, recalibrate=recalibrate)


def dense_norm(shape):
    """Returns a model whose batch normalization may have one value per channel."""
    inputs = keras.Input(shape)
    inner = keras.layers.BatchNormalization(name="inner_norm")
    return keras.Model(inputs, keras.Sequential([keras.Input(shape), inner])(inputs))


@pytest.mark.parametrize(
    ("examples", "batch_size", "advice"),
    [
        (17, 16, "Pass --batch_size=17"),
        (4, 1, "Pass --batch_size=2"),
        (5, 1, "Pass --batch_size=3"),
        (13, 3, "Pass --batch_size=5"),
        (1, 16, "Train on two images or more"),
        *((17, 15, None), (16, 16, None), (5, 16, None)),
    ],
)
def test_a_batch_of_one_image_is_refused_with_a_value_that_works(
    examples, batch_size, advice
):
    for shape in ((5,), (1, 1, 5)):
        model = dense_norm(shape)
        if advice:
            words = f"inner_norm gets one value .*{advice}$"
            with pytest.raises(errors.UsageError, match=words):
                regimes.check_batches(model, examples, batch_size)
            model.trainable = False
        regimes.check_batches(model, examples, batch_size)
    for model in (dense_norm((2, 1, 5)), linear_model()):
        regimes.check_batches(model, examples, batch_size)


def test_resnet18_has_maps_of_one_pixel_at_32_pixels():
    network = backbones.resolve("resnet18", "none")
    with pytest.raises(errors.UsageError, match="layer4_0_bn1 gets one value"):
        regimes.check_batches(network.build((32, 32, 3)), 17, 16)
    regimes.check_batches(network.build((64, 64, 3)), 17, 16)
