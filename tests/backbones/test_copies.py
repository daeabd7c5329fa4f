"""Copies of saved networks: names, regularizers, and layers with few arguments."""

import pathlib
import re

import keras
import numpy as np
import pytest

from normtest_tf import errors
from normtest_tf.backbones import copies, surgery

SHAPE = (16, 16, 3)
PATH = pathlib.Path("net.keras")
L = keras.layers
IMAGES = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype("float32")
# What TensorFlow requires of a scope's name.
LEGAL = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")


def model(*layers):
    return keras.Sequential([keras.Input(SHAPE), *layers])


def copy(saved, with_weights=True):
    return copies.make(PATH, saved, SHAPE, with_weights=with_weights)


def test_layers_get_names_that_tensorflow_accepts():
    inner = keras.Sequential(
        [keras.Input(SHAPE), L.Conv2D(3, 3, padding="same", name="préfix é")],
        name="in ner",
    )
    saved = model(
        L.Conv2D(3, 1, name="_first"),
        L.Conv2D(3, 1, name="a b"),
        L.Conv2D(3, 1, name="a_b"),
        L.Conv2D(3, 1, name="a?b"),
        inner,
    )
    expected = np.array(saved(IMAGES))
    built = copy(saved)
    names = [layer.name for layer in built._flatten_layers(include_self=False)]
    assert len(set(names)) == len(names)
    assert all(LEGAL.fullmatch(name) for name in names)
    assert {"layer_first", "a_b", "a_b_2", "a_b_3", "in_ner", "pr_fix__"} <= set(names)
    np.testing.assert_allclose(built.predict_on_batch(IMAGES), expected, rtol=1e-5)


def test_layers_whose_constructors_take_few_arguments_are_copied():
    saved = model(
        L.Discretization([0.0, 0.5]),
        L.Rescaling(1.0),
        L.Conv2D(4, 3),
        L.SpatialDropout2D(0.1),
        L.Reshape((-1, 4)),
        L.SpatialDropout1D(0.1),
        L.Reshape((14, 14, 1, 4)),
        L.SpatialDropout3D(0.1),
    )
    saved.layers[2].trainable = False
    built = copy(saved)
    assert built.layers[2].trainable
    np.testing.assert_allclose(built(IMAGES), saved(IMAGES), rtol=1e-6)


def test_layers_that_can_not_be_copied_are_no_matter_of_size():
    class Odd(keras.layers.Layer):
        def __init__(self, needed):
            super().__init__()

        def get_config(self):
            return {}

    with pytest.raises(errors.UsageError, match="without such a layer") as caught:
        copy(model(Odd(1)))
    assert "larger images" not in str(caught.value)


@pytest.mark.parametrize("with_weights", [True, False])
def test_nothing_is_added_to_the_loss(with_weights):
    saved = model(
        L.Conv2D(4, 3, kernel_regularizer="l2", bias_regularizer="l1"),
        L.BatchNormalization(gamma_regularizer="l2", beta_regularizer="l2"),
        L.SeparableConv2D(4, 3, depthwise_regularizer="l2", activity_regularizer="l1"),
        L.ActivityRegularization(0.1),
        L.Reshape((-1, 4)),
        L.Bidirectional(L.LSTM(2, kernel_regularizer="l2")),
    )
    saved(IMAGES, training=True)
    assert sum(float(loss) for loss in saved.losses) > 0
    built = copy(saved, with_weights)
    built(IMAGES, training=True)
    assert sum(float(loss) for loss in built.losses) == 0
    assert copies.regularizers(model(L.Conv2D(4, 3))) == 0


def test_a_file_with_regularizers_is_noted(tmp_path):
    saved = model(L.Conv2D(4, 3, kernel_regularizer="l2", activity_regularizer="l1"))
    saved.save(tmp_path / "net.keras")
    notes = []
    surgery.build_from_file(
        tmp_path / "net.keras", "file-net", SHAPE, notify=notes.append
    )
    assert notes == [
        "net.keras was saved with 2 regularizers, which a run leaves out: its losses "
        "are mean cross-entropies"
    ]


def test_a_file_with_integer_inputs_is_noted(tmp_path):
    inputs = keras.Input(SHAPE, dtype="uint8")
    x = L.Conv2D(4, 3)(keras.ops.cast(inputs, "float32"))
    keras.Model(inputs, x).save(tmp_path / "net.keras")
    notes = []
    surgery.build_from_file(
        tmp_path / "net.keras", "file-net", SHAPE, notify=notes.append
    )
    (note,) = notes
    assert "takes uint8 images, so probably pixels from 0 to 255; --pretrain" in note
