"""Seeds, and the default augmentation."""

import pytest

from normtest_tf.training import choices
from normtest_tf.training.choices import Seeds


def test_a_seed_splits_into_two_that_differ_and_fit_31_bits():
    assert Seeds.split(223) == Seeds(436566333, 1139875137)
    pairs = [Seeds.split(seed) for seed in (0, 1, 2, 2**32 - 1)]
    values = {value for pair in pairs for value in (pair.data, pair.model)}
    assert len(values) == 8
    assert all(0 <= value < 2**31 for value in values)


@pytest.mark.parametrize(
    ("size", "default", "padding"),
    [
        (1, "pad_crop_flip", 1),
        (32, "pad_crop_flip", 4),
        (64, "pad_crop_flip", 8),
        (65, "random_resized_crop_flip", 0),
    ],
)
def test_the_default_depends_on_the_size(size, default, padding):
    notes = []
    assert choices.resolve_augmentation(None, size, notes.append) == default
    assert choices.padding(default, size) == padding
    assert len(notes) == (size > 64)
    assert choices.resolve_augmentation("flip", size, notes.append) == "flip"
