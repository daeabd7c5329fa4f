"""Images that differ in brightness and colour, and small networks."""

import numpy as np
import pytest

from normtest_tf.normalization import ChannelStatistics


def random_images(n=12, size=32, seed=0):
    """Smooth images of different brightness; red is stretched, blue is dark."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 1, [n, size // 4, size // 4, 3])
    coarse *= rng.uniform(0.3, 1, [n, 1, 1, 1])
    fine = coarse.repeat(4, axis=1).repeat(4, axis=2) * (1.0, 0.8, 0.5)
    return (255 * fine).astype(np.uint8)


@pytest.fixture(scope="session")
def images():
    return random_images()


@pytest.fixture(scope="session")
def cast():
    """Statistics whose scales and shifts differ between channels."""
    return ChannelStatistics((0.6, 0.4, 0.2), (0.3, 0.2, 0.1), "fixed", "a test")


@pytest.fixture(scope="session")
def resnet():
    from normtest_tf import backbones

    return backbones.resolve("cifar_resnet8", None).build((32, 32, 3))
