"""The images that exports are compared on."""

import dataclasses

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


def test_data_that_changed_since_the_run_are_refused(tmp_path, monkeypatch):
    digits = datasets.load("digits")
    names = list(digits.class_names)
    folder = write_run(tmp_path, shape=digits.image_shape, names=names)
    labels = digits.train_labels.copy()
    labels[640:] = 0  # Images that the run did not use may change.
    unused = dataclasses.replace(digits, train_labels=labels)
    labels = labels.copy()
    labels[0] = (labels[0] + 1) % 10
    relabelled = dataclasses.replace(digits, train_labels=labels)
    renamed = dataclasses.replace(digits, class_names=(*names[:-1], "ten"))
    for changed, words in [
        (unused, None),
        (relabelled, "other pixels or labels"),
        (renamed, "a class is '9' there, 'ten' now"),
        (digits.take(640, 100), "test images: 500 there, 100 now"),
        (digits.take(600), "train_examples must be from 1 to 600"),
    ]:
        monkeypatch.setattr(datasets, "load", lambda *args, now=changed: now)
        if words is None:
            assert len(images.first_test_images(folder, 3)) == 3
            continue
        with pytest.raises(errors.UsageError, match=f"digits is not what .*{words}"):
            images.first_test_images(folder, 3)


PETS = "folder:/home/somebody/pets/"


def test_a_folder_of_images_has_to_be_named_again():
    assert images.dataset_name("cifar10", None) == "cifar10"
    assert images.dataset_name("cifar10", "cifar10") == "cifar10"
    assert images.dataset_name("folder-pets", PETS) == PETS
    with pytest.raises(errors.UsageError, match="needs --dataset=folder:PATH"):
        images.dataset_name("folder-pets", None)


@pytest.mark.parametrize(
    ("recorded", "given"),
    [
        ("folder-pets", "cifar10"),
        ("folder-pets", "digit"),
        ("folder-pets", "/home/somebody/pets"),
        ("folder-pets", "folder-pets"),
        ("folder-pets", "folder:/home/somebody/cars"),
        ("cifar10", "cifar100"),
        ("cifar10", PETS),
        ("cifar10", "cifar11"),
    ],
)
def test_another_data_set_is_refused_and_the_right_one_named(recorded, given):
    with pytest.raises(errors.UsageError, match="not the run's data set") as refusal:
        images.dataset_name(recorded, given)
    wanted = "cifar10" if recorded == "cifar10" else "folder:PATH, where PATH is that"
    assert f"; pass --dataset={wanted}" in str(refusal.value)
    assert "Did you mean" not in str(refusal.value)
