"""What is trained, and what stays as it is."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from normtest_tf import backbones, errors
from normtest_tf.normalization import IMAGENET, normalization_layer
from normtest_tf.training import choices, classifier, loop, regimes, training_copy
from normtest_tf.training.recipe import Recipe
from tests.training.helpers import SPLIT, TASK, linear_model


def new_classifier():
    return classifier.build_classifier(
        backbones.resolve("cifar_resnet8", "cifar10"),
        normalization_layer(IMAGENET, TASK.image_shape),
        TASK,
        seed=3,
    )


def trained(model, regime):
    """Returns what is trained, after two steps, and its weights before."""
    copy = regimes.freeze(training_copy.make(model), regime)
    before = copy.get_weights()
    data = loop.TrainingData(SPLIT, {"test": SPLIT}, seed=0)
    loop.fit(copy, Recipe(epochs=1, batch_size=10), data, lambda row: None)
    return copy, before


def changed(model, before):
    """Returns the paths of the model's weights that have changed."""
    pairs = zip(model.weights, before, model.get_weights(), strict=True)
    return {w.path for w, old, new in pairs if not np.array_equal(old, new)}


def test_each_regime_trains_what_it_says_and_nothing_else():
    model = new_classifier()
    paths = {weight.path for weight in model.weights}
    statistics = {p for p in paths if "/moving_" in p}
    of_bn = statistics | {p for p in paths if p.endswith(("/gamma", "/beta"))}
    head = {p for p in paths if p.startswith("head/")}
    expected = {"all": paths, "head": head, "frozen_bn": paths - of_bn}
    assert expected.keys() == choices.REGIMES.keys()
    assert len(head) == 2
    assert len(statistics) == 18
    for regime, those in expected.items():
        copy, before = trained(model, regime)
        # The copy's paths are those of the model but for layers around layers.
        found = {path.removeprefix("cifar_resnet8/") for path in changed(copy, before)}
        assert found == those, regime
        assert len(copy.trainable_variables) == len(those - statistics)
        model.set_weights(copy.get_weights())
        np.testing.assert_allclose(
            model.predict(SPLIT.images, verbose=0),
            copy.predict(SPLIT.images, verbose=0),
            rtol=1e-4,
            atol=1e-4,
        )
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
    regimes.check(new_classifier(), regime, recalibrate=recalibrate)


@pytest.fixture(scope="module")
def resnet():
    return resnet18(32)


def resnet18(size):
    shape = (size, size, 3)
    return classifier.build_classifier(
        backbones.resolve("resnet18", "none"),
        normalization_layer(IMAGENET, shape),
        classifier.Task(shape, 10),
        seed=1,
    )


@pytest.mark.parametrize(
    ("examples", "batch_size", "advice"),
    [
        (17, 16, "Pass --batch_size=17"),
        (4, 1, "Pass --batch_size=2"),
        (5, 1, "Pass --batch_size=3"),
        (13, 3, "Pass --batch_size=5"),
        (1, 16, "Train on two images or more"),
    ],
)
def test_a_batch_of_one_image_is_refused_with_a_value_that_works(
    resnet, examples, batch_size, advice
):
    with pytest.raises(errors.UsageError) as refusal:
        regimes.check_batches(resnet, examples, batch_size)
    message = str(refusal.value)
    assert advice in message.partition(" refuses to train on that. ")[2]
    assert "layer4_0_bn1 (and 4 other layers)" in message
    for size in re.findall(r"Pass --batch_size=(\d+)", message):
        regimes.check_batches(resnet, examples, int(size))


@pytest.mark.parametrize(("examples", "batch_size"), [(17, 15), (16, 16), (5, 16)])
def test_other_batches_are_fine(resnet, examples, batch_size):
    regimes.check_batches(resnet, examples, batch_size)


def test_one_image_is_fine_where_maps_are_larger_or_nothing_is_normalised():
    inputs = keras.Input((1, 1, 3))
    features = keras.layers.LayerNormalization()(inputs)
    without = keras.Model(inputs, keras.layers.Flatten()(features))
    for model in (new_classifier(), resnet18(64), without):
        regimes.check_batches(model, 4, 1)


def dense_model():
    """Returns a model whose batch normalization follows a dense layer."""
    inputs = keras.Input((8, 8, 3))
    features = keras.layers.Dense(5)(keras.layers.Flatten()(inputs))
    inner = keras.Sequential(
        [keras.Input((5,)), keras.layers.BatchNormalization(name="inner_norm")]
    )
    return keras.Model(inputs, keras.layers.Dense(2)(inner(features)))


def test_layers_that_do_not_train_do_not_matter():
    model = dense_model()
    with pytest.raises(errors.UsageError, match="inner_norm gets one value"):
        regimes.check_batches(model, 17, 16)
    model.layers[-2].trainable = False
    regimes.check_batches(model, 17, 16)
