"""Batch normalization over a single value per channel is refused, nothing else is."""

import re

import keras
import pytest

from normtest_tf import backbones, errors
from normtest_tf.normalization import IMAGENET, normalization_layer
from normtest_tf.training import classifier, regimes
from tests.training.helpers import small_classifier


def build(name, size=32):
    shape = (size, size, 3)
    return classifier.build_classifier(
        backbones.resolve(name, "none"),
        normalization_layer(IMAGENET, shape),
        classifier.Task(shape, 10),
        seed=1,
    )


@pytest.fixture(scope="module")
def resnet():
    return build("resnet18")


def dense_model():
    """Returns a model whose batch normalization follows a dense layer."""
    inputs = keras.Input((8, 8, 3))
    features = keras.layers.Dense(5)(keras.layers.Flatten()(inputs))
    inner = keras.Sequential(
        [keras.Input((5,)), keras.layers.BatchNormalization(name="inner_norm")]
    )
    return keras.Model(inputs, keras.layers.Dense(2)(inner(features)))


@pytest.mark.parametrize(
    ("examples", "batch_size", "held_out", "advice"),
    [
        (
            17,
            16,
            0,
            "Pass --batch_size=15, --batch_size=17 or --train_examples=16",
        ),
        (
            17,
            16,
            3,
            "--batch_size=17, --train_examples=19 or --validation_examples=4",
        ),
        (4, 1, 0, "Pass --batch_size=2"),
        (5, 1, 0, "Pass --batch_size=3"),
        (3, 2, 0, "Pass --batch_size=3 or --train_examples=2"),
        (13, 3, 0, "Pass --batch_size=5 or --train_examples=12"),
        (1, 16, 0, "Train on two images or more"),
        (1, 1, 0, "Train on two images or more"),
    ],
)
def test_a_batch_of_one_image_is_refused_with_values_that_work(
    resnet, examples, batch_size, held_out, advice
):
    with pytest.raises(errors.UsageError) as refusal:
        regimes.check_batches(resnet, examples, batch_size, held_out=held_out)
    message = str(refusal.value)
    assert advice in message.partition(" refuses to train on that. ")[2]
    assert "PyTorch refuses" in message
    assert (
        f"({examples} image{'s'[: examples - 1]}, --batch_size={batch_size})" in message
    )
    assert "layer4_0_bn1 (and 4 other layers)" in message
    for size in re.findall(r"--batch_size=(\d+)", message.partition(" Pass ")[2]):
        regimes.check_batches(resnet, examples, int(size))
    for count in re.findall(r"--train_examples=(\d+)", message):
        regimes.check_batches(resnet, int(count) - held_out, batch_size)


@pytest.mark.parametrize(
    ("examples", "batch_size"), [(17, 17), (17, 15), (16, 16), (5, 16), (32, 16)]
)
def test_other_batches_are_fine(resnet, examples, batch_size):
    regimes.check_batches(resnet, examples, batch_size)


def test_one_image_is_fine_where_maps_are_larger():
    for model in (small_classifier(), build("resnet18", 64)):
        regimes.check_batches(model, 17, 16)
        regimes.check_batches(model, 4, 1)


def test_one_image_is_fine_without_batch_normalization():
    inputs = keras.Input((1, 1, 3))
    features = keras.layers.LayerNormalization()(inputs)
    regimes.check_batches(keras.Model(inputs, keras.layers.Flatten()(features)), 4, 1)


def test_networks_of_keras_applications_are_checked():
    with pytest.raises(errors.UsageError, match=r"every training batch.*conv_dw_"):
        regimes.check_batches(build("keras_mobilenet"), 4, 1)


def test_layers_that_do_not_train_do_not_matter():
    model = dense_model()
    with pytest.raises(errors.UsageError, match="inner_norm gets one value"):
        regimes.check_batches(model, 17, 16)
    model.layers[-2].trainable = False
    regimes.check_batches(model, 17, 16)
