"""Each setting against its definition."""

import dataclasses

import keras
import numpy as np
import pytest

from normtest_tf import errors, normalization
from normtest_tf.normalization import CONTROL, IMAGENET, MINMAX, SETTINGS

SHAPE = (32, 32, 3)


def normalise(name, images, pretraining=IMAGENET):
    """Applies a setting to the images that it was measured on."""
    setting = SETTINGS[name]
    statistics = setting.statistics(images, pretraining)
    return np.array(setting.layer(statistics, images.shape[1:])(images))


def test_finetune_equals_an_adapted_keras_layer(images):
    adapted = keras.layers.Normalization()
    adapted.adapt(images.astype("float32"))
    expected = np.array(adapted(images.astype("float32")))
    np.testing.assert_allclose(normalise("finetune", images), expected, atol=1e-4)


def test_finetune_gives_the_training_set_mean_0_and_std_1(images):
    outputs = normalise("finetune", images)
    np.testing.assert_allclose(outputs.mean((0, 1, 2), dtype="float64"), 0, atol=1e-5)
    np.testing.assert_allclose(outputs.std((0, 1, 2), dtype="float64"), 1, atol=1e-5)


def test_pretrain_divides_by_the_std_and_not_the_variance(images):
    expected = (images / 255 - IMAGENET.mean) / IMAGENET.std
    np.testing.assert_allclose(normalise("pretrain", images), expected, atol=1e-5)


def test_minmax_scales_to_0_and_1(images):
    np.testing.assert_allclose(normalise("minmax", images), images / 255, atol=1e-6)


def test_instance_uses_each_images_own_unbiased_std(images):
    pixels = images.astype(np.float64)
    mean = pixels.mean((1, 2), keepdims=True)
    std = pixels.std((1, 2), ddof=1, keepdims=True)
    outputs = normalise("instance", images)
    np.testing.assert_allclose(outputs, (pixels - mean) / std, atol=2e-5)


@pytest.mark.parametrize("size", [32, 224])
def test_instance_turns_a_constant_channel_into_zeros(size):
    image = np.full((1, size, size, 3), 255, np.uint8)
    image[..., 1] = 131
    image[0, 0, 0, 2] = 254
    outputs = normalise("instance", image)
    assert np.isfinite(outputs).all()
    np.testing.assert_array_equal(outputs[..., :2], 0)


def test_every_setting_is_described():
    assert CONTROL in SETTINGS
    for name, setting in SETTINGS.items():
        assert setting.name == name
        assert setting.description
        assert setting.formula
        assert setting.question


def test_only_the_settings_that_say_so_depend_on_the_images(images):
    pretraining = IMAGENET
    for setting in SETTINGS.values():
        one = setting.statistics(images, pretraining)
        other = setting.statistics(images // 2, pretraining)
        assert (one != other) == setting.measures_images, setting.name


def test_a_setting_with_constants_does_not_work_without():
    assert SETTINGS["minmax"].statistics(np.zeros(0), IMAGENET) == MINMAX
    assert SETTINGS["instance"].statistics(np.zeros(0), IMAGENET) is None
    with pytest.raises(ValueError, match="needs channel statistics"):
        SETTINGS["pretrain"].layer(None, SHAPE)


def test_a_name_with_a_hyphen_is_refused():
    # It separates model and setting in the path of a run.
    with pytest.raises(ValueError, match="hyphen"):
        dataclasses.replace(SETTINGS["minmax"], name="per-image")


def test_a_misspelt_name_is_refused_with_a_suggestion():
    assert normalization.get("finetune") is SETTINGS["finetune"]
    with pytest.raises(errors.UsageError, match="Did you mean 'finetune'"):
        normalization.get("finetun")


def test_pretrain_pooled_changes_the_std_alone(images):
    expected = (images / 255 - IMAGENET.mean) / [0.2724, 0.2637, 0.2761]
    outputs = normalise("pretrain_pooled", images, MINMAX)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_finetune_mean_of_stds_uses_imagenets_definition(images):
    darker = images.copy()
    darker[:20] //= 3
    pixels = darker / 255
    std = np.mean([pixels[i].std(axis=(0, 1)) for i in range(len(pixels))], axis=0)
    expected = (pixels - pixels.mean((0, 1, 2))) / std
    outputs = normalise("finetune_mean_of_stds", darker)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    assert (std < 0.9 * pixels.std((0, 1, 2))).all()


def test_gray_has_one_mean_and_one_std(images):
    pixels = images / 255
    expected = (pixels - pixels.mean()) / pixels.std()
    np.testing.assert_allclose(normalise("gray", images), expected, atol=1e-5)


def test_none_leaves_pixels_as_they_are(images):
    np.testing.assert_allclose(normalise("none", images), images, rtol=1e-6)


def test_pretrain_again_differs_by_one_part_in_100_000(images):
    ratio = normalise("pretrain_again", images) / normalise("pretrain", images)
    np.testing.assert_allclose(ratio, 1 + 1e-5, rtol=5e-7)


@pytest.mark.parametrize("name", ["finetune_mean_of_stds", "gray"])
def test_constant_images_are_told(name):
    images = np.full((2, 8, 8, 3), 7, np.uint8)
    notes = []
    statistics = SETTINGS[name].statistics(images, IMAGENET, notes.append)
    assert statistics.std == (1, 1, 1)
    assert all("is taken as 1" in note for note in notes)
    assert notes
