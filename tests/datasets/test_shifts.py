"""Shifts: their arithmetic, their names, and where they are applied."""

import decimal

import numpy as np
import pytest

from normtest_tf.datasets import images
from tests.datasets import helpers

# What a pixel (red, green, blue) becomes, exactly, before rounding and clipping.
FORMULAS = {
    "contrast:0.5": lambda x: [63.75 + v / 2 for v in x],
    "contrast:1.75": lambda x: [127.5 + 1.75 * (v - 127.5) for v in x],
    "brightness:1.5": lambda x: [1.5 * v for v in x],
    "cast:1,0.6,0.3": lambda x: [
        v * f / 10 for v, f in zip(x, (10, 6, 3), strict=True)
    ],
    "invert": lambda x: [255 - v for v in x],
    "gray": lambda x: [(299 * x[0] + 587 * x[1] + 114 * x[2]) / 1000] * 3,
    "none": lambda x: x,
}


def pixels():
    """Returns all values of each channel, and random colours."""
    values = np.repeat(np.arange(256), 3).reshape(-1, 3)
    random = np.random.default_rng(0).integers(0, 256, (400, 3))
    return np.concatenate([values, random]).astype(np.uint8)


def rounded(value):
    nearest = decimal.Decimal(str(value)).quantize(
        decimal.Decimal(1), decimal.ROUND_HALF_EVEN
    )
    return min(max(int(nearest), 0), 255)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_shift_is_its_formula_rounded_half_to_even_and_clipped(text):
    before = pixels()
    expected = [[rounded(v) for v in FORMULAS[text](x)] for x in before.tolist()]
    after = images.parse_shift(text)(before)
    assert after.dtype == np.uint8
    np.testing.assert_array_equal(after, expected)
    np.testing.assert_array_equal(before, pixels())


@pytest.mark.parametrize(
    ("text", "canonical", "slug"),
    [
        ("none", "none", ""),
        ("contrast:0.50", "contrast:0.5", "contrast_0.5"),
        ("brightness:1.", "brightness:1", "brightness_1"),
        ("brightness:1e-3", "brightness:0.001", "brightness_0.001"),
        ("cast:1.0,.6,3e-1", "cast:1,0.6,0.3", "cast_1_0.6_0.3"),
        ("invert", "invert", "invert"),
        ("gray", "gray", "gray"),
    ],
)
def test_each_shift_has_one_text_and_one_name(text, canonical, slug):
    shift = images.parse_shift(text)
    assert (str(shift), shift.slug) == (canonical, slug)
    assert images.parse_shift(str(shift)) == shift


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sepia", "none, contrast:C"),
        ("contrast", "is written contrast:C. Received: 'contrast'"),
        ("contrast:0", "takes numbers from 0.001"),
        ("brightness:nan", "takes numbers from 0.001"),
        ("brightness:two", "Received: 'brightness:two'"),
        ("cast:1,2", "cast:R,G,B; in a list, put it in double quotes"),
    ],
)
def test_other_values_are_refused_in_one_line(text, message):
    with helpers.usage_error(message):
        images.parse_shift(text)


def test_without_a_shift_a_data_set_stays_itself():
    dataset = helpers.make_dataset()
    assert dataset.shifted("none") is dataset
