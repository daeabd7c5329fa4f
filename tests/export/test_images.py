"""The images that exports are compared on."""

import numpy as np
import pytest

from normtest_tf import datasets, errors
from normtest_tf.export import images
from tests.export.helpers import write_run


def test_random_images_are_the_same_in_every_call_and_have_all_pixel_values():
    pixels = images.random_images((16, 24, 3), 8)
    assert pixels.shape == (8, 16, 24, 3)
    assert pixels.dtype == np.uint8
    assert len(np.unique(pixels)) == 256
    np.testing.assert_array_equal(pixels, images.random_images((16, 24, 3), 8))


def test_the_first_test_images_are_those_of_the_runs_data_set(tmp_path):
    received = images.first_test_images(write_run(tmp_path), 3)
    expected = datasets.load("digits").test_images[:3]
    np.testing.assert_array_equal(received, expected)


def test_a_folder_of_images_has_to_be_named_again():
    assert images.dataset_name("cifar10", None) == "cifar10"
    given = "folder:/home/somebody/pets/"
    assert images.dataset_name("folder-pets", given) == given
    with pytest.raises(errors.UsageError, match="needs --dataset=folder:PATH"):
        images.dataset_name("folder-pets", None)
    with pytest.raises(errors.UsageError, match="not the run's data set"):
        images.dataset_name("folder-pets", "cifar10")
