"""Each setting against its definition."""

import numpy as np
import pytest

from normtest_tf import normalization
from normtest_tf.normalization import IMAGENET, SETTINGS, ChannelStatistics


def normalise(name, images):
    """Applies a setting to the images that it was measured on."""
    setting = SETTINGS[name] if name != "given" else normalization.given(CONSTANTS)
    statistics = setting.statistics(images, IMAGENET)
    return np.array(setting.layer(statistics, images.shape[1:])(images))


def standardised(values, mean, std):
    return (values - mean) / std


CONSTANTS = ChannelStatistics((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "fixed", "a test")
# What pixels from 0 to 1 become.
DEFINITIONS = {
    "finetune": lambda x: standardised(x, x.mean((0, 1, 2)), x.std((0, 1, 2))),
    "pretrain": lambda x: standardised(x, IMAGENET.mean, IMAGENET.std),
    "instance": lambda x: standardised(
        x, x.mean((1, 2), keepdims=True), x.std((1, 2), ddof=1, keepdims=True)
    ),
    "minmax": lambda x: x,
    "finetune_folded": lambda x: DEFINITIONS["finetune"](x),
    "pretrain_pooled": lambda x: standardised(
        x, IMAGENET.mean, [0.2724, 0.2637, 0.2761]
    ),
    "finetune_mean_of_stds": lambda x: standardised(
        x, x.mean((0, 1, 2)), x.std((1, 2)).mean(0)
    ),
    "gray": lambda x: standardised(x, x.mean(), x.std()),
    "none": lambda x: 255 * x,
    "pretrain_again": lambda x: DEFINITIONS["pretrain"](x) * (1 + 1e-5),
    "given": lambda x: standardised(x, CONSTANTS.mean, CONSTANTS.std),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_does_what_its_definition_says(name, images):
    darker = images.copy()
    darker[:20] //= 3  # The mean of the images' stds is not that over all pixels.
    expected = DEFINITIONS[name](darker / 255)
    np.testing.assert_allclose(normalise(name, darker), expected, atol=2e-5, rtol=2e-6)


@pytest.mark.parametrize("size", [32, 224])
def test_instance_turns_a_constant_channel_into_zeros(size):
    image = np.full((1, size, size, 3), 255, np.uint8)
    image[..., 1] = 131
    image[0, 0, 0, 2] = 254
    outputs = normalise("instance", image)
    assert np.isfinite(outputs).all()
    np.testing.assert_array_equal(outputs[..., :2], 0)
