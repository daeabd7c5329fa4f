"""A valid weights file."""

import pytest

from normtest_tf.backbones.weights import safetensors_files
from tests.backbones.weights.helpers import randomise, small


@pytest.fixture(scope="module")
def donor():
    return randomise(small())


@pytest.fixture
def path(tmp_path, donor):
    path = tmp_path / "donor.safetensors"
    safetensors_files.save(donor, path)
    return path
