import importlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from normtest_tf import backbones, errors, normalization
from normtest_tf.backbones.registry import CAFFE, HALF
from normtest_tf.normalization import IMAGENET, MINMAX, ChannelStatistics

SHAPE = (32, 32, 3)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    tinted = rng.normal([90, 140, 60], [40, 20, 70], size=(50, *SHAPE))
    return np.clip(tinted, 0, 255).astype(np.uint8)


def apply(layer, images):
    return np.array(layer(images))


def test_channel_statistics_equal_numpy_in_float64(images):
    statistics = normalization.channel_statistics(images, "a test")
    scaled = images.astype(np.float64) / 255
    np.testing.assert_allclose(statistics.mean, scaled.mean((0, 1, 2)), rtol=1e-13)
    np.testing.assert_allclose(statistics.std, scaled.std((0, 1, 2)), rtol=1e-13)
    assert statistics.definition == "pooled"


def test_finetune_equals_an_adapted_keras_layer(images):
    adapted = keras.layers.Normalization()
    adapted.adapt(images.astype("float32"))
    statistics = normalization.resolve_statistics("finetune", images, IMAGENET)
    ours = apply(normalization.normalization_layer(statistics, SHAPE), images)
    theirs = np.array(adapted(images.astype("float32")))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_normalised_training_set_has_mean_0_and_std_1(images):
    statistics = normalization.resolve_statistics("finetune", images, IMAGENET)
    outputs = apply(normalization.normalization_layer(statistics, SHAPE), images)
    np.testing.assert_allclose(outputs.mean((0, 1, 2), dtype="float64"), 0, atol=1e-5)
    np.testing.assert_allclose(outputs.std((0, 1, 2), dtype="float64"), 1, atol=1e-5)


def test_pretrain_divides_by_the_std_and_not_the_variance(images):
    outputs = apply(normalization.normalization_layer(IMAGENET, SHAPE), images)
    expected = (images / 255 - IMAGENET.mean) / IMAGENET.std
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_minmax_scales_to_0_and_1(images):
    outputs = apply(normalization.normalization_layer(MINMAX, SHAPE), images)
    np.testing.assert_allclose(outputs, images / 255, atol=1e-6)


def test_instance_uses_each_images_own_unbiased_std(images):
    outputs = apply(normalization.normalization_layer(None, SHAPE), images)
    pixels = images.astype(np.float64)
    mean = pixels.mean((1, 2), keepdims=True)
    std = pixels.std((1, 2), ddof=1, keepdims=True)
    np.testing.assert_allclose(outputs, (pixels - mean) / std, atol=2e-5)


@pytest.mark.parametrize("size", [32, 224])
def test_instance_turns_a_constant_channel_into_zeros(size):
    image = np.full((1, size, size, 3), 255, np.uint8)
    image[..., 1] = 131
    image[0, 0, 0, 2] = 254
    outputs = apply(normalization.normalization_layer(None, (size, size, 3)), image)
    assert np.isfinite(outputs).all()
    np.testing.assert_array_equal(outputs[..., :2], 0)


def test_a_constant_channel_of_the_training_set_gets_std_1():
    images = np.zeros((4, 8, 8, 3), np.uint8)
    images[0, ..., 0] = 255
    images[..., 1] = 51
    images[1, ..., 2] = 9
    with pytest.warns(UserWarning, match="green channel is constant"):
        statistics = normalization.channel_statistics(images, "a test")
    assert statistics.std[1] == 1
    assert statistics.mean[1] == pytest.approx(0.2)


# The others have it in the model unless told otherwise; see test_backbones.
WITH_PREPROCESS_INPUT = [
    entry.name
    for entry in backbones.ARCHITECTURES.values()
    if entry.family == "keras_applications"
    and "include_preprocessing" not in entry.options
]


@pytest.mark.parametrize("name", WITH_PREPROCESS_INPUT)
def test_pretrain_equals_keras_own_preprocess_input(name, images):
    entry = backbones.get(name)
    builder = getattr(keras.applications, entry.builder)
    module = importlib.import_module(builder.__module__)
    pretraining = entry.tags[entry.default_tag]
    layer = normalization.normalization_layer(
        pretraining.statistics, SHAPE, pretraining.channel_order
    )
    expected = module.preprocess_input(images.astype("float32").copy())
    np.testing.assert_allclose(apply(layer, images), expected, atol=1e-4)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("statistics", [IMAGENET, HALF, CAFFE, MINMAX, None])
def test_in_the_model_and_in_the_pipeline_are_the_same(images, statistics, order):
    layer = normalization.normalization_layer(statistics, SHAPE, order)
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(20).map(layer)
    in_pipeline = np.concatenate(list(dataset.as_numpy_iterator()))
    inputs = keras.Input(SHAPE, dtype="uint8")
    model = keras.Model(inputs, layer(inputs))
    np.testing.assert_allclose(
        in_pipeline, model.predict(images, verbose=0), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("statistics", [IMAGENET, None])
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_normalization_is_float32_under_every_policy(images, statistics, policy):
    expected = apply(normalization.normalization_layer(statistics, SHAPE), images)
    keras.config.set_dtype_policy(policy)
    try:
        layer = normalization.normalization_layer(statistics, SHAPE, "rgb")
        inputs = keras.Input(SHAPE, dtype="uint8")
        outputs = keras.Model(inputs, layer(inputs))(images)
    finally:
        keras.config.set_dtype_policy("float32")
    assert outputs.dtype == "float32"
    np.testing.assert_array_equal(outputs, expected)


def test_bgr_reverses_channels_after_normalising_in_rgb_order(images):
    statistics = ChannelStatistics((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "fixed", "a test")
    rgb = apply(normalization.normalization_layer(statistics, SHAPE, "rgb"), images)
    bgr = apply(normalization.normalization_layer(statistics, SHAPE, "bgr"), images)
    np.testing.assert_allclose(bgr, rgb[..., ::-1], atol=1e-5)


def test_errors():
    with pytest.raises(errors.UsageError, match="Did you mean 'finetune'"):
        normalization.resolve_statistics("finetun", np.zeros(0), IMAGENET)
    with pytest.raises(ValueError, match="channel_order"):
        normalization.normalization_layer(IMAGENET, SHAPE, "gbr")
    with pytest.raises(ValueError, match="uint8"):
        normalization.channel_statistics(np.zeros((1, *SHAPE)), "a test")
    with pytest.raises(ValueError, match="empty"):
        normalization.channel_statistics(np.zeros((0, *SHAPE), np.uint8), "a test")
