"""Folding against convolutions computed in NumPy, and whole networks."""

import keras
import numpy as np
import pytest

from normtest_tf import backbones, errors, runs
from normtest_tf.normalization import IMAGENET, ChannelStatistics, folding
from normtest_tf.runs import finetuning

TINTED = ChannelStatistics((0.35, 0.55, 0.24), (0.16, 0.08, 0.27), "pooled", "a test")
SHAPE = (32, 32, 3)
# Of a convolution's outputs, those at least this far from the edge see no padding.
INTERIOR = (slice(None), slice(4, -4), slice(4, -4))


def normalised(images, statistics):
    return (images / 255 - statistics.mean) / np.array(statistics.std)


def small(padding, *, use_bias=False, norm=True):
    """A network with running statistics that are not 0 and 1."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(4, 3, padding=padding, use_bias=use_bias)]
    layers += [keras.layers.BatchNormalization(epsilon=1e-9)] if norm else []
    layers += [keras.layers.ReLU(), keras.layers.Conv2D(5, 3, strides=2)]
    layers += [keras.layers.GlobalAveragePooling2D()]
    inputs = outputs = keras.Input(SHAPE)
    for layer in layers:
        outputs = layer(outputs)
    if norm:
        weights = [1, 2, 3, 4], [0.1, 0, 0, 1], [1, -2, 3, 0], [4, 4, 4, 4]
        layers[1].set_weights([np.array(values, "float32") for values in weights])
    return keras.Model(inputs, outputs, name="small")


@pytest.mark.parametrize(
    ("order", "use_bias", "is_nested"),
    [("rgb", False, True), ("rgb", True, False), ("bgr", False, False)],
)
@pytest.mark.parametrize("training", [False, True])
def test_without_padding_the_network_is_the_same_function(
    images, training, order, use_bias, is_nested
):
    step = 1 if order == "rgb" else -1
    wanted, given = (
        normalised(images, each)[..., ::step] for each in (IMAGENET, TINTED)
    )
    before = small("valid", use_bias=use_bias)(wanted, training=training)
    network = small("valid", use_bias=use_bias)
    if is_nested:  # A model within a model.
        inputs = keras.Input(SHAPE)
        network = keras.Model(inputs, network(inputs))
    folding.fold(network, given=TINTED, wanted=IMAGENET, channel_order=order)
    after = network(given, training=training)
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


def test_only_the_border_of_a_padded_convolution_differs(images):
    network = backbones.resolve("cifar_resnet8").build(SHAPE)
    kinds = keras.layers.BatchNormalization
    norm = next(layer for layer in network.layers if isinstance(layer, kinds))
    outputs = keras.Model(network.input, norm.output)
    rng = np.random.default_rng(0)
    norm.moving_mean.assign(rng.normal(size=norm.moving_mean.shape))
    before = np.array(outputs(normalised(images, IMAGENET)))
    folding.fold(network, given=TINTED, wanted=IMAGENET)
    after = np.array(outputs(normalised(images, TINTED)))
    np.testing.assert_allclose(after[INTERIOR], before[INTERIOR], rtol=1e-3, atol=1e-4)
    assert np.abs(after - before).max() > 1e-2


@pytest.mark.parametrize("is_activated", [False, True])
def test_a_convolution_without_a_place_for_the_constant_is_refused(is_activated):
    network = small("valid", norm=False)
    if is_activated:  # A constant is not moved past an activation.
        inputs = keras.Input(SHAPE)
        convolve = keras.layers.Conv2D(4, 3, use_bias=False, activation="relu")
        outputs = keras.layers.BatchNormalization()(convolve(inputs))
        network = keras.Model(inputs, outputs)
    weights = network.get_weights()
    with pytest.raises(errors.UsageError, match="neither a bias nor batch norm"):
        folding.fold(network, given=TINTED, wanted=IMAGENET)
    for before, after in zip(weights, network.get_weights(), strict=True):
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(
    "layer", [keras.layers.DepthwiseConv2D(3), keras.layers.Flatten()]
)
def test_another_beginning_is_refused(layer):
    network = keras.Sequential([keras.Input(SHAPE), layer], name="other")
    with pytest.raises(errors.UsageError, match="other does not begin with"):
        folding.first_convolution(network)


def test_finetune_folded_starts_from_a_rewritten_first_convolution(tmp_path):
    kernels = {}
    for name in ("pretrain", "finetune_folded"):
        asked = runs.RunConfig(
            dataset="digits",
            model="cifar_resnet8",
            normalization=name,
            train_examples=20,
            results_dir=str(tmp_path),
        )
        prepared = finetuning.prepare(asked)
        network = prepared.model.layers[-2]
        kernels[name] = np.array(folding.first_convolution(network)[0].kernel)
    given = prepared.record.resolved.statistics.std
    ratio = np.array(given) / asked.resolved.network.pretraining.statistics.std
    np.testing.assert_allclose(
        kernels["finetune_folded"],
        kernels["pretrain"] * ratio[:, np.newaxis],
        rtol=1e-5,
    )
