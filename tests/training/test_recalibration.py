"""Running statistics estimated again, against NumPy and PyTorch."""

import keras
import numpy as np
import pytest

from normtest_tf.training import recalibration

EPSILON = 1e-3


def two_layers(dropout=0.0):
    """Two batch normalizations with a linear map between them, the second inside."""
    inner_input = keras.Input((5,))
    inner = keras.layers.BatchNormalization(epsilon=EPSILON, name="second")(inner_input)
    inputs = keras.Input((4,))
    x = keras.layers.BatchNormalization(epsilon=EPSILON, name="first")(inputs)
    x = keras.layers.Dropout(dropout, seed=1)(x)
    x = keras.layers.Dense(5, use_bias=False, name="map")(x)
    return keras.Model(inputs, keras.Model(inner_input, inner)(x))


def statistics(model):
    """Returns mean and variance of the first and of the second layer."""
    first, second = model.get_layer("first"), model.layers[-1].get_layer("second")
    return [*first.get_weights()[2:], *second.get_weights()[2:]]


def expected(model, batches):
    """Returns the same by NumPy."""
    sizes = [len(batch) for batch in batches]
    kernel = model.get_layer("map").get_weights()[0].astype("float64")
    gamma, beta = model.get_layer("first").get_weights()[:2]
    found = []
    for batch in batches:
        inner = (batch - batch.mean(0)) / np.sqrt(batch.var(0) + EPSILON)
        inner = (inner * gamma + beta) @ kernel
        pair = (batch, inner)
        found.append([f for x in pair for f in (x.mean(0), x.var(0, ddof=1))])
    columns = zip(*found, strict=True)
    return [np.average(np.stack(values), 0, weights=sizes) for values in columns]


@pytest.fixture
def batches():
    random = np.random.default_rng(0)
    return [
        random.normal(mean, std, (size, 4)).astype("float32")
        for mean, std, size in ((3, 2, 8), (-1, 1, 3), (5, 4, 8))
    ]


def test_statistics_are_the_weighted_mean_over_batches(batches):
    model = two_layers(dropout=0.5)
    model.get_layer("first").set_weights(
        [np.arange(1.0, 5), np.arange(4.0), np.full(4, 9.0), np.full(4, 7.0)]
    )
    before = {w.path: w.numpy() for w in model.weights if "moving" not in w.path}
    recalibration.recalibrate(model, batches)
    for found, value in zip(statistics(model), expected(model, batches), strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5)
    for w in model.weights:
        np.testing.assert_array_equal(w, before.get(w.path, w))


def test_it_forgets_what_was_there_and_ignores_that_layers_are_frozen(batches):
    model = two_layers()
    model.trainable = False
    recalibration.recalibrate(model, batches)
    once = np.concatenate(statistics(model))
    recalibration.recalibrate(model, batches)
    np.testing.assert_array_equal(np.concatenate(statistics(model)), once)
    assert not model.get_layer("first").trainable
    assert float(model.get_layer("first").momentum) == 0.99


@pytest.mark.torch
def test_it_equals_pytorchs_cumulative_average():
    torch = pytest.importorskip("torch")
    images = np.random.default_rng(0).normal(2, 3, (12, 6, 6, 3)).astype("float32")
    layers = [
        keras.layers.BatchNormalization(epsilon=1e-5),
        keras.layers.Conv2D(4, 3, use_bias=False),
        keras.layers.BatchNormalization(epsilon=1e-5),
    ]
    model = keras.Sequential([keras.Input((6, 6, 3)), *layers])
    theirs = torch.nn.Sequential(
        torch.nn.BatchNorm2d(3, momentum=None),
        torch.nn.Conv2d(3, 4, 3, bias=False),
        torch.nn.BatchNorm2d(4, momentum=None),
    )
    kernel = model.layers[1].get_weights()[0].transpose(3, 2, 0, 1)
    with torch.no_grad():
        theirs[1].weight.copy_(torch.from_numpy(kernel.copy()))
        for batch in np.split(images, 3):  # Equal ones: PyTorch doesn't weight.
            theirs(torch.from_numpy(batch.transpose(0, 3, 1, 2).copy()))
    recalibration.recalibrate(model, np.split(images, 3))
    for index in (0, 2):
        means, variances = model.layers[index].get_weights()[2:]
        close = {"rtol": 1e-4, "atol": 1e-5}
        np.testing.assert_allclose(means, theirs[index].running_mean, **close)
        np.testing.assert_allclose(variances, theirs[index].running_var, rtol=1e-4)
