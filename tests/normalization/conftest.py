import numpy as np
import pytest


@pytest.fixture(scope="session")
def images():
    """Tinted images: the channels differ in mean and std."""
    rng = np.random.default_rng(0)
    tinted = rng.normal([90, 140, 60], [40, 20, 70], size=(50, 32, 32, 3))
    return np.clip(tinted, 0, 255).astype(np.uint8)
