"""The copy of a model that is trained, against Keras's layers, NumPy and PyTorch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from normtest_tf import backbones, errors
from normtest_tf.backbones.layers import leaves
from normtest_tf.training import choices, loop, pipeline, training_copy
from normtest_tf.training.recipe import Recipe
from normtest_tf.training.training_copy import BatchNormalization, Convolution
from tests.training.helpers import SPLIT, linear_model, small_classifier

RNG = np.random.default_rng(0)
EPSILON = 1e-3


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


def trained(model, regime):
    """Returns what is trained, after two steps, and the paths of changed weights."""
    copy = training_copy.freeze(training_copy.make(model), regime)
    before = copy.get_weights()
    data = pipeline.TrainingData(SPLIT, {}, seed=0)
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
    copy = training_copy.freeze(training_copy.make(model), "all")
    assert np.abs(copy(x, training=True) - model(x)).max() > 0.01
    copy = training_copy.freeze(training_copy.make(model), "head")
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = copy(x, training=True)
    np.testing.assert_allclose(outputs, model(x), rtol=1e-5)
    assert tape.gradient(outputs, x) is None  # Which makes it much faster.


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
                training_copy.check_batches(model, examples, batch_size)
            model.trainable = False
        training_copy.check_batches(model, examples, batch_size)
    for model in (dense_norm((2, 1, 5)), linear_model()):
        training_copy.check_batches(model, examples, batch_size)


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
    training_copy.Accumulator(model).recalibrate(model, batches)
    for found, value in zip(statistics(model), expected(model, batches), strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5)
    for w in model.weights:
        np.testing.assert_array_equal(w, before.get(w.path, w))


def test_it_forgets_what_was_there_and_ignores_that_layers_are_frozen(batches):
    model = two_layers()
    model.trainable = False
    accumulator = training_copy.Accumulator(model)
    accumulator.recalibrate(model, batches)
    once = np.concatenate(statistics(model))
    accumulator.recalibrate(model, batches)
    np.testing.assert_array_equal(np.concatenate(statistics(model)), once)
    assert not model.get_layer("first").trainable
    assert float(model.get_layer("first").momentum) == 0.99
