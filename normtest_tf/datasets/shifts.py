"""Shifts: known changes of all images, applied before anything else; see `HELP`.

A shift makes the fine-tuning set differ from the pre-training set by a known amount.
It changes training and test images alike, so channel statistics are those of the
shifted images. Contrast is scaled around the middle of the range of pixels, not around
the images' mean, so that a shift depends on no data.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from normtest_tf import errors

NONE, GRAY = "none", "gray"
HELP = (
    "none; contrast:C, 127.5 + C * (x - 127.5) of pixels x from 0 to 255; "
    "brightness:B, B * x; cast:R,G,B, each channel times its number; invert, 255 - x; "
    "or gray, the ITU-R BT.601 luma in all channels. Rounded and clipped to 0..255."
)
MIN_FACTOR, MAX_FACTOR = 0.001, 100.0
BLOCK = 256  # Images shifted at a time: intermediate results are float64.
_FORMS = {
    form.partition(":")[0]: form
    for form in (NONE, "contrast:C", "brightness:B", "cast:R,G,B", "invert", GRAY)
}
# In thousandths, so that sums are exact.
_LUMA = np.array([299, 587, 114])


@dataclasses.dataclass(frozen=True)
class Shift:
    """A change of all images."""

    kind: str  # A key of `_FORMS`.
    numbers: tuple[float, ...] = ()  # Its factors, each positive.

    def __str__(self) -> str:
        """Returns it as the flag takes it; each shift has one text."""
        values = ",".join(
            np.format_float_positional(number, trim="-") for number in self.numbers
        )
        return f"{self.kind}:{values}" if values else self.kind

    @property
    def slug(self) -> str:
        """Its name in result paths, such as `cast_1_0.6_0.3`; empty for none."""
        if self.kind == NONE:
            return ""
        return str(self).translate(str.maketrans(":,", "__"))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Returns the shifted images, uint8 `[..., 3]`, RGB."""
        if self.kind == NONE:
            return images
        if self.kind == GRAY:
            luma = _to_pixels(images @ _LUMA / 1000)
            return np.repeat(luma[..., np.newaxis], 3, axis=-1)
        tables = _tables(self)
        channels = [tables[index][images[..., index]] for index in range(3)]
        return np.stack(channels, axis=-1)

    def apply(self, images: np.ndarray) -> np.ndarray:
        """Returns a shifted copy of many images, uint8 `[n, height, width, 3]`."""
        shifted = np.empty_like(images)
        for start in range(0, len(images), BLOCK):
            block = slice(start, start + BLOCK)
            shifted[block] = self(images[block])
        return shifted


@functools.lru_cache(maxsize=8)
def _tables(shift: Shift) -> np.ndarray:
    """Returns what each value of each channel becomes, uint8 `[3, 256]`."""
    pixels = np.tile(np.arange(256.0), [3, 1])
    if shift.kind == "contrast":
        pixels = 127.5 + shift.numbers[0] * (pixels - 127.5)
    elif shift.kind == "invert":
        pixels = 255 - pixels
    else:  # One factor for all channels, or one for each.
        pixels = pixels * np.reshape(shift.numbers, [-1, 1])
    return _to_pixels(pixels)


def _to_pixels(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def parse(text: str) -> Shift:
    """Returns the shift that a value of `--shift` means, or raises `UsageError`."""
    kind, colon, rest = text.partition(":")
    if kind not in _FORMS:
        raise errors.unknown_name("value of --shift", text, list(_FORMS.values()))
    form = _FORMS[kind]
    values = rest.split(",") if colon else []
    if text.count(":") != form.count(":") or text.count(",") != form.count(","):
        advice = "; in a list, put it in double quotes" if "," in form else ""
        raise errors.UsageError(
            f"--shift={kind} is written {form}{advice}. Received: {text!r}"
        )
    try:
        numbers = tuple(float(value) for value in values)
    except ValueError:
        numbers = (np.nan,)
    if not all(MIN_FACTOR <= number <= MAX_FACTOR for number in numbers):
        raise errors.UsageError(
            f"--shift={form} takes numbers from {MIN_FACTOR:g} to {MAX_FACTOR:g}. "
            f"Received: {text!r}"
        )
    return Shift(kind, numbers)
