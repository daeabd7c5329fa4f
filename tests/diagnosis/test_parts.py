"""The split of a difference, against the network itself on padded images."""

import dataclasses
import itertools

import keras
import numpy as np
import pytest

from normtest_tf import backbones, errors
from normtest_tf.diagnosis import decomposition
from normtest_tf.diagnosis.parts import normalised
from normtest_tf.diagnosis.probes import Probe
from normtest_tf.normalization import IMAGENET
from normtest_tf.normalization.statistics import change


def without_epsilon(model):
    """Makes batch normalizations divide by their std alone, nearly."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.epsilon = 1e-12
    return model


def build(name):
    keras.utils.set_random_seed(3)
    tag = None if name == "cifar_resnet8" else "none"
    return without_epsilon(backbones.resolve(name, tag).build((32, 32, 3)))


@pytest.mark.parametrize("name", ["cifar_resnet8", "keras_mobilenet_025"])
def test_scale_and_shift_vanish_where_batch_statistics_are_used(name, images, cast):
    model = build(name)
    found = decomposition(Probe(model, "float64"), images, cast, IMAGENET)
    batch, stored = found["batch"], found["stored"]
    assert batch.scale < 1e-8
    assert batch.shift < 1e-8
    # The rest does not vanish, and with stored statistics nothing does.
    assert min(batch.ratio, batch.border, batch.total) > 1e-2
    parts = (stored.scale, stored.ratio, stored.shift, stored.border, stored.total)
    assert min(parts) > 1e-2


def test_every_part_is_what_the_network_does(images, cast):
    """The parts again, by slicing the network behind its first convolution."""
    model = build("cifar_resnet8")
    found = decomposition(model, images, cast, IMAGENET)
    a, b = change(given=IMAGENET, wanted=cast)
    z = normalised(images, IMAGENET)
    conv = model.get_layer("conv1")
    behind = keras.Model(conv.output, model.output)

    def features(inputs, padding, training):
        sides = [(0, 0), *[(conv.kernel.shape[0] // 2,) * 2] * 2]
        channels = [
            np.pad(inputs[..., c], sides, constant_values=padding[c]) for c in range(3)
        ]
        padded = np.stack(channels, axis=-1).astype("float32")
        maps = keras.ops.conv(padded, conv.kernel, strides=conv.strides)
        return np.asarray(behind(maps, training=training), float)

    zero = np.zeros(3)
    whole = model(z.astype("float32"), training=False)
    np.testing.assert_allclose(features(z, zero, False), whole, rtol=1e-3, atol=1e-4)
    common = np.exp(np.log(a).mean())
    steps = [(z, zero), (common * z, zero), (a * z, zero), (a * z + b, b)]
    steps.append((a * z + b, zero))
    for mode in ("stored", "batch"):
        ends = [features(*step, training=mode == "batch") for step in steps]
        unit = np.sqrt(ends[0].var(axis=0).mean())
        expected = [
            np.sqrt(np.mean((after - before) ** 2)) / unit
            for before, after in [*itertools.pairwise(ends), (ends[0], ends[-1])]
        ]
        parts = dataclasses.astuple(found[mode])
        np.testing.assert_allclose(parts, expected, rtol=2e-3, atol=2e-4)


def test_bgr_networks_get_the_channels_in_their_order(images, cast):
    """A network with its first kernel reversed takes BGR, and gives the same parts."""
    rgb, bgr = build("cifar_resnet8"), build("cifar_resnet8")
    weights = bgr.get_weights()
    weights[0] = weights[0][:, :, ::-1]
    bgr.set_weights(weights)
    one = decomposition(rgb, images, cast, IMAGENET)
    other = decomposition(bgr, images, cast, IMAGENET, channel_order="bgr")
    for mode, parts in one.items():
        assert other[mode].total == pytest.approx(parts.total, rel=1e-3)
        assert other[mode].border == pytest.approx(parts.border, rel=1e-3)


def test_images_without_differences_are_refused(resnet, images, cast):
    same = np.repeat(images[:1], 3, axis=0)
    with pytest.raises(errors.UsageError, match="same for all images"):
        decomposition(resnet, same, cast, IMAGENET)
