import numpy as np
import pytest

from normtest_tf import backbones

OPTIONS = {"weights": None, "input_shape": (32, 32, 3)}


def test_fresh_convolutions_are_normal_by_fan_in_as_in_timm():
    model = backbones.DenseNet121(include_top=False, **OPTIONS)
    layer = model.get_layer("features_denseblock4_denselayer16_conv1")
    kernel = np.array(layer.kernel)
    assert kernel.std() == pytest.approx(np.sqrt(2 / 992), rel=0.05)
    # A truncated distribution would end at two standard deviations.
    assert abs(kernel).max() > 3 * kernel.std()


def test_a_fresh_classifier_has_no_bias_as_in_timm():
    classifier = backbones.DenseNet121(**OPTIONS).get_layer("classifier")
    np.testing.assert_array_equal(classifier.bias, 0)
    assert np.any(classifier.kernel)
