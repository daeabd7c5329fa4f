"""The layers between raw pixels and a backbone, in models and in pipelines."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from normtest_tf.backbones.registry import CAFFE
from normtest_tf.normalization import (
    IMAGENET,
    SETTINGS,
    ChannelStatistics,
    normalization_layer,
)

SHAPE = (32, 32, 3)
STATISTICS = {"imagenet": IMAGENET, "caffe": CAFFE}


def build(name, order="rgb"):
    """Returns a layer with constants, or the layer of `instance`, which has none."""
    if name == "instance":
        return SETTINGS["instance"].layer(None, SHAPE, order)
    return normalization_layer(STATISTICS[name], SHAPE, order)


@pytest.mark.parametrize(
    ("name", "order"),
    [("imagenet", "rgb"), ("caffe", "bgr"), ("instance", "rgb"), ("instance", "bgr")],
)
def test_a_layer_computes_the_same_in_a_model_and_in_a_pipeline(images, name, order):
    layer = build(name, order)
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(20).map(layer)
    in_pipeline = np.concatenate(list(dataset.as_numpy_iterator()))
    inputs = keras.Input(SHAPE, dtype="uint8")
    model = keras.Model(inputs, layer(inputs))
    np.testing.assert_allclose(
        in_pipeline, model.predict(images, verbose=0), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("name", ["imagenet", "instance"])
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_layers_compute_in_float32_under_every_policy(images, name, policy):
    expected = np.array(build(name)(images))
    keras.config.set_dtype_policy(policy)
    try:
        layer = build(name)
        inputs = keras.Input(SHAPE, dtype="uint8")
        outputs = keras.Model(inputs, layer(inputs))(images)
    finally:
        keras.config.set_dtype_policy("float32")
    assert outputs.dtype == "float32"
    np.testing.assert_array_equal(outputs, expected)


def test_bgr_reverses_channels_after_normalising_in_rgb_order(images):
    statistics = ChannelStatistics((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "fixed", "a test")
    rgb, bgr = (
        np.array(normalization_layer(statistics, SHAPE, order)(images))
        for order in ("rgb", "bgr")
    )
    np.testing.assert_allclose(bgr, rgb[..., ::-1], atol=1e-5)
