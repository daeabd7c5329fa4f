"""The split of a difference, against the network itself on padded images."""

import itertools

import keras
import numpy as np
import pytest

from normtest_tf import backbones, errors
from normtest_tf.diagnosis import decomposition
from normtest_tf.diagnosis.parts import displacement, normalised
from normtest_tf.normalization import IMAGENET, ChannelStatistics
from normtest_tf.normalization.statistics import change

COMMON = ChannelStatistics(
    IMAGENET.mean, tuple(2 * std for std in IMAGENET.std), "fixed", "twice the std"
)


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


@pytest.mark.parametrize("name", ["cifar_resnet8", "resnet18", "keras_mobilenet_025"])
def test_scale_and_shift_vanish_where_batch_statistics_are_used(name, images, cast):
    model = build(name)
    found = decomposition(model, images, cast, IMAGENET, dtype="float64")
    batch, stored = found["batch"], found["stored"]
    assert batch.scale < 1e-8
    assert batch.shift < 1e-8
    # The rest does not vanish, and with stored statistics nothing does.
    assert min(batch.ratio, batch.border, batch.total) > 1e-2
    parts = (stored.scale, stored.ratio, stored.shift, stored.border, stored.total)
    assert min(parts) > 1e-2


def test_a_common_scale_alone_changes_nothing_else(resnet, images):
    np.testing.assert_allclose(
        change(given=IMAGENET, wanted=COMMON), [[0.5] * 3, [0] * 3]
    )
    found = decomposition(resnet, images, COMMON, IMAGENET, dtype="float64")
    assert found["batch"].total < 1e-2  # Up to epsilon.
    for parts in found.values():
        assert max(parts.ratio, parts.shift, parts.border) < 1e-12
        assert parts.total == pytest.approx(parts.scale)
    assert found["stored"].scale > 0.1


@pytest.mark.parametrize("mode", ["stored", "batch"])
def test_every_part_is_what_the_network_does(mode, images, cast):
    """The parts again, by slicing the network behind its first convolution."""
    model = build("resnet18")
    a, b = change(given=IMAGENET, wanted=cast)
    z = normalised(images, IMAGENET)
    conv = model.get_layer("conv1")
    behind = keras.Model(conv.output, model.output)

    def features(inputs, padding):
        sides = [(0, 0), (3, 3), (3, 3)]
        channels = [
            np.pad(inputs[..., c], sides, constant_values=padding[c]) for c in range(3)
        ]
        padded = np.stack(channels, axis=-1).astype("float32")
        maps = keras.ops.conv(padded, conv.kernel, strides=2, padding="valid")
        return np.asarray(behind(maps, training=mode == "batch"), float)

    zero = np.zeros(3)
    whole = model(z.astype("float32"), training=False)
    if mode == "stored":
        np.testing.assert_allclose(features(z, zero), whole, rtol=1e-3, atol=1e-4)
    common = np.exp(np.log(a).mean())
    ends = [
        features(z, zero),
        features(common * z, zero),
        features(a * z, zero),
        features(a * z + b, b),
        features(a * z + b, zero),
    ]
    model = build("resnet18")  # Training mode has changed the other's statistics.
    found = decomposition(model, images, cast, IMAGENET)[mode]
    unit = np.sqrt(ends[0].var(axis=0).mean())
    sizes = [
        np.sqrt(np.mean((after - before) ** 2)) / unit
        for before, after in itertools.pairwise(ends)
    ]
    expected = [*sizes, displacement(ends[-1], ends[0])]
    parts = [found.scale, found.ratio, found.shift, found.border, found.total]
    np.testing.assert_allclose(parts, expected, rtol=2e-3, atol=2e-4)


def test_the_shift_without_its_border_is_a_rewritten_convolution(images, cast):
    """In evaluation mode: fold a and b into the first layers instead of the images."""
    model, folded = build("resnet18"), build("resnet18")
    a, b = change(given=IMAGENET, wanted=cast)
    kernel = np.asarray(folded.get_layer("conv1").kernel)
    norm = next(
        layer
        for layer in folded.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    )
    folded.get_layer("conv1").kernel.assign(kernel * a[:, None])
    z = normalised(images, IMAGENET).astype("float32")
    scaled = np.asarray(folded(z, training=False), float)
    norm.moving_mean.assign(norm.moving_mean - np.einsum("hwcf,c->f", kernel, b))
    shifted = np.asarray(folded(z, training=False), float)
    start = np.asarray(model(z, training=False), float)
    end = np.asarray(model((a * z + b).astype("float32"), training=False), float)
    found = decomposition(model, images, cast, IMAGENET)["stored"]
    unit = np.sqrt(start.var(axis=0).mean())

    def size(change):
        return np.sqrt(np.mean(change**2)) / unit

    assert found.shift == pytest.approx(size(shifted - scaled), rel=1e-3)
    assert found.border == pytest.approx(size(end - shifted), rel=1e-3)


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


def test_without_batch_normalization_there_is_one_mode(images, cast):
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Rescaling(1.0),
            keras.layers.Conv2D(4, 3),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    found = decomposition(model, images, cast, IMAGENET)
    assert list(found) == ["stored"]
    assert found["stored"].border is None  # Behind another layer.
    assert found["stored"].total > 0


def test_images_without_differences_are_refused(resnet, images, cast):
    same = np.repeat(images[:1], 3, axis=0)
    with pytest.raises(errors.UsageError, match="same for all images"):
        decomposition(resnet, same, cast, IMAGENET)


def test_a_and_b_turn_one_normalization_into_the_other(images, cast):
    a, b = change(given=IMAGENET, wanted=cast)
    expected = (images / 255 - cast.mean) / cast.std
    mapped = a * normalised(images, IMAGENET) + b
    np.testing.assert_allclose(mapped, expected, atol=1e-12)
    reversed_channels = normalised(images, cast, step=-1)
    np.testing.assert_allclose(reversed_channels, expected[..., ::-1], atol=1e-12)
