"""Weights in the layouts of Keras 2 and 3."""

import h5py
import keras
import numpy as np
import pytest

from tests.backbones.weights.helpers import (
    load,
    randomise,
    refused,
    same_weights,
    small,
)


def test_a_keras_3_file_is_read_whole(tmp_path, donor):
    path = tmp_path / "donor.weights.h5"
    donor.save_weights(path)
    model = small()
    assert load(model, path) == []
    assert same_weights(model, donor)


def test_another_classifier_in_a_keras_3_file_is_skipped_with_a_note(tmp_path, donor):
    path = tmp_path / "donor.weights.h5"
    donor.save_weights(path)
    for other in (small(include_top=False), small(classes=4)):
        (note,) = load(other, path)
        assert note.startswith("skipped the classifier")
        np.testing.assert_array_equal(
            other.get_layer("layer3_0_conv2").kernel,
            donor.get_layer("layer3_0_conv2").kernel,
        )


def test_a_keras_3_file_of_another_network_is_refused(tmp_path):
    path = tmp_path / "donor.weights.h5"
    wrong = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    wrong.save_weights(path)
    refused(path, "another network")


def mobilenet(**options):
    return keras.applications.MobileNet(
        alpha=0.25, weights=None, input_shape=(32, 32, 3), **options
    )


def save_keras_2(model, path, skip=()):
    """Writes a file in the layout of Keras 2, by its format alone."""
    with h5py.File(path, "w") as file:
        layers = [layer for layer in model.layers if layer.name not in skip]
        file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer.name)
            variables = layer.trainable_weights + layer.non_trainable_weights
            names = [f"{layer.name}/{v.name}:0" for v in variables]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, variable in zip(names, variables, strict=True):
                group.create_dataset(name, data=np.array(variable))


@pytest.mark.parametrize("name", ["mobilenet.h5", "mobilenet.H5"])
def test_a_keras_2_file_is_read_whole(tmp_path, name):
    donor = randomise(mobilenet(include_top=False, pooling="avg"))
    path = tmp_path / name
    save_keras_2(donor, path)
    model = mobilenet(include_top=False, pooling="avg")
    assert load(model, path) == []
    assert same_weights(model, donor)


def test_a_classifier_in_a_keras_2_file_is_skipped_with_a_note(tmp_path):
    donor = randomise(mobilenet(include_top=True, classes=5))
    path = tmp_path / "mobilenet.h5"
    save_keras_2(donor, path)
    model = mobilenet(include_top=False, pooling="avg")
    assert load(model, path) == ["skipped the classifier 'conv_preds' in mobilenet.h5"]
    np.testing.assert_array_equal(
        model.get_layer("conv_pw_13").kernel, donor.get_layer("conv_pw_13").kernel
    )


def test_a_keras_2_file_of_another_network_is_refused(tmp_path):
    model = mobilenet(include_top=False, pooling="avg")
    path = tmp_path / "mobilenet.h5"
    save_keras_2(model, path, skip=["conv_dw_3_bn"])
    refused(path, "lacks", "conv_dw_3_bn", model=model)
    other = keras.applications.MobileNet(
        alpha=0.5, weights=None, input_shape=(32, 32, 3), include_top=False
    )
    save_keras_2(other, path)
    refused(
        path, "'conv1/0' has shape [3, 3, 3, 16], expected [3, 3, 3, 8]", model=model
    )


@pytest.mark.parametrize("name", ["mobilenet.weights.h5", "mobilenet.Weights.H5"])
def test_a_keras_2_file_named_like_one_of_keras_3_is_refused(tmp_path, name):
    model = mobilenet(include_top=False, pooling="avg")
    path = tmp_path / name
    save_keras_2(model, path)
    refused(path, "Keras 2's layout", model=model)


@pytest.mark.parametrize("name", ["DONOR.WEIGHTS.H5", "donor.H5", "donor.hdf5"])
def test_any_letter_case_and_suffix_of_hdf5_is_read(tmp_path, donor, name):
    """Keras itself chooses the layout by the suffix."""
    donor.save_weights(tmp_path / "donor.weights.h5")
    path = (tmp_path / "donor.weights.h5").rename(tmp_path / name)
    model = small()
    assert load(model, path) == []
    assert same_weights(model, donor)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_keras_3_file_with_values_that_are_not_finite_is_refused(tmp_path, value):
    donor = randomise(small())
    gamma = donor.get_layer("bn1").gamma
    gamma.assign(np.where(np.arange(32) == 7, value, gamma))
    path = tmp_path / "donor.weights.h5"
    donor.save_weights(path)
    refused(path, "'layers/batch_normalization/vars/0'", "not finite")


def test_a_keras_2_file_with_values_that_are_not_finite_is_refused(tmp_path):
    donor = randomise(mobilenet(include_top=False, pooling="avg"))
    donor.get_layer("conv1_bn").gamma.assign(np.full(8, -np.inf))
    save_keras_2(donor, tmp_path / "a.h5")
    model = mobilenet(include_top=False, pooling="avg")
    refused(tmp_path / "a.h5", "variable 'conv1_bn/0'", "not finite", model=model)


def test_values_of_a_classifier_that_is_skipped_do_not_matter(tmp_path):
    donor = randomise(small())
    donor.get_layer("fc").bias.assign(np.full(10, np.nan))
    donor.save_weights(tmp_path / "donor.weights.h5")
    (note,) = load(small(include_top=False), tmp_path / "donor.weights.h5")
    assert note.startswith("skipped the classifier")
    refused(tmp_path / "donor.weights.h5", "'layers/dense/vars/1'", "not finite")


def test_variables_of_bfloat16_are_read_and_checked(tmp_path):
    """HDF5 has no such type, so Keras marks them."""
    path = tmp_path / "donor.weights.h5"
    try:
        keras.config.set_dtype_policy("bfloat16")
        donor = small()
    finally:
        keras.config.set_dtype_policy("float32")
    donor.save_weights(path)
    model = small()
    assert load(model, path) == []
    expected = [weights.astype("float32") for weights in donor.get_weights()]
    for received, weights in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(received, weights)
    donor.get_layer("bn1").gamma.assign(np.full(32, np.inf))
    donor.save_weights(path)
    refused(path, "'layers/batch_normalization/vars/0'", "not finite")


def test_a_variable_of_text_is_refused(tmp_path):
    path = tmp_path / "donor.weights.h5"
    small().save_weights(path)
    with h5py.File(path, "a") as file:
        variables = file["layers/batch_normalization/vars"]
        del variables["0"]
        variables["0"] = ["text"] * 32
    refused(path, "not a complete HDF5 weights file")
