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


def test_a_keras_2_file_is_read_whole(tmp_path):
    donor = randomise(mobilenet(include_top=False, pooling="avg"))
    path = tmp_path / "mobilenet.h5"
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


def test_a_keras_2_file_named_like_one_of_keras_3_is_refused(tmp_path):
    model = mobilenet(include_top=False, pooling="avg")
    path = tmp_path / "mobilenet.weights.h5"
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


def test_a_keras_2_file_is_read_under_any_letter_case(tmp_path):
    donor = randomise(mobilenet(include_top=False, pooling="avg"))
    path = tmp_path / "mobilenet.H5"
    save_keras_2(donor, path)
    model = mobilenet(include_top=False, pooling="avg")
    assert load(model, path) == []
    assert same_weights(model, donor)
    path = path.rename(tmp_path / "mobilenet.Weights.H5")
    refused(path, "Keras 2's layout", model=model)
