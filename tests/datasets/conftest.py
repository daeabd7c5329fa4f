"""Sets of TensorFlow Datasets that several tests read."""

import pytest

from tests.datasets import helpers


@pytest.fixture(scope="package")
def pets(tmp_path_factory):
    path = tmp_path_factory.mktemp("tfds")
    helpers.prepare(path, "pets", {"train": 12, "validation": 6})
    return path


@pytest.fixture(scope="package")
def cifar(tmp_path_factory):
    path = tmp_path_factory.mktemp("tfds")
    helpers.prepare_cifar10(path)
    return path
