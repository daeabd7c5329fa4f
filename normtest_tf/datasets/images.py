"""Images: which files are, decoding and resizing by Pillow, and shifts.

A shift changes training and test images alike, by a known amount and before anything
else, so that the fine-tuning set differs from the pre-training set. Contrast is scaled
around the middle of the range of pixels, not around the images' mean, so that a shift
depends on no data.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import io
import itertools
import os
import pathlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np
import PIL.Image
import PIL.ImageOps

from normtest_tf import errors
from normtest_tf.system import files, keras_setup
from normtest_tf.text import shown

MAX_PIXELS = 89_478_485  # Pillow's own threshold for a suspected decompression bomb.
# Cameras, browsers and research use these; every further format would give a hostile
# file another decoder to attack, and EPS would even start a program.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
# Of these, any reader shows the first picture; the others have no still one.
_STILL_FORMATS = ("PNG", "JPEG", "MPO")
# Cameras' files are TIFF inside, where Pillow would find a preview.
_RAW = (".3fr", ".arw", ".cr2", ".dng", ".nef", ".nrw", ".orf", ".pef", ".rw2", ".srw")
# Of files that their owner takes for pictures, readable or not.
_SUFFIXES = {
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp"),
    *(".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".jp2", ".j2k"),
    *(".heic", ".heif", ".jxl", ".svg", ".psd", ".tga", ".exr", ".ico"),
    *_RAW,
}
_SYSTEM_NAMES = {
    *("__macosx", "__pycache__", "@eadir", "#recycle", "$recycle.bin", "lost+found"),
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "system volume information"),
}
BLOCK = 256  # Images handled at a time.
_BILINEAR = PIL.Image.Resampling.BILINEAR
_GROUP = 8  # Of a thread: a small image is decoded as fast as a thread is woken.

NO_SHIFT = "none"
SHIFT_HELP = (
    "none; contrast:C, 127.5 + C * (x - 127.5) of pixels x from 0 to 255; "
    "brightness:B, B * x; cast:R,G,B, each channel times its number; invert, 255 - x; "
    "or gray, the ITU-R BT.601 luma in all channels. Rounded and clipped to 0..255."
)
MIN_FACTOR, MAX_FACTOR = 0.001, 100.0
_FORMS = {
    form.partition(":")[0]: form
    for form in (NO_SHIFT, "contrast:C", "brightness:B", "cast:R,G,B", "invert", "gray")
}
# In thousandths, so that sums are exact.
_LUMA = np.array([299, 587, 114])

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class BadImage(errors.UsageError):
    """A file that is no usable image; its `args` are its name and what is wrong."""

    def __str__(self) -> str:
        name, problem = self.args
        return f"can't read the image {shown(name)}: {problem}. Repair or remove it"


def decode(
    data: bytes, name: str, image_size: int | None = None, resize: str = "squash"
) -> np.ndarray:
    """Decodes an image file of any format to uint8 `[height, width, 3]`, upright.

    Grey values are repeated, palettes looked up and alpha channels dropped.
    """
    try:
        with PIL.Image.open(io.BytesIO(data), formats=_formats()) as image:
            _check(image, pathlib.PurePath(name).suffix.lower())
            pixels = np.asarray(_upright(image).convert("RGB"))
    except PIL.UnidentifiedImageError as error:
        kind = files.unusable_kind(data[: files.HEAD_BYTES])
        what = f"it is {kind}" if kind else "Pillow can't identify it as an image"
        raise BadImage(name, what) from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen types.
        raise BadImage(name, errors.reason(error)) from error
    return pixels if image_size is None else resized(pixels, image_size, resize)


def decode_file(
    path: pathlib.Path, image_size: int | None = None, resize: str = "squash"
) -> np.ndarray:
    """Reads one image file, as `decode` does."""
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise OSError("it is not a file")  # Opening a pipe would block for ever.
        data = path.read_bytes()
    except OSError as error:
        raise BadImage(str(path), errors.reason(error)) from error
    return decode(data, str(path), image_size, resize)


def resized(
    pixels: np.ndarray, size: int | tuple[int, int], resize: str = "squash"
) -> np.ndarray:
    """Resizes an image by Pillow's antialiased bilinear filter, in one of `RESIZES`."""
    height, width = size if isinstance(size, tuple) else (size, size)
    if pixels.shape == (height, width, 3):
        return pixels
    image = PIL.Image.fromarray(pixels)
    if resize == "squash":
        return np.asarray(image.resize((width, height), _BILINEAR))
    if resize == "crop":
        return np.asarray(PIL.ImageOps.fit(image, (width, height), _BILINEAR))
    # `ImageOps.pad` rounds other sides, and some of them to 0.
    scale = min(width / image.width, height / image.height)
    inner = [max(1, round(side * scale)) for side in image.size]
    padded = PIL.Image.new("RGB", (width, height))
    corner = (round((width - inner[0]) / 2), round((height - inner[1]) / 2))
    padded.paste(image.resize((inner[0], inner[1]), _BILINEAR), corner)
    return np.asarray(padded)


def map_in_threads(
    function: Callable[[_Item], _Result], items: Iterable[_Item]
) -> Iterator[_Result]:
    """Applies a function that decodes an image to items, in order, on all cores."""
    iterator = iter(items)

    def several(group: list[_Item]) -> list[_Result]:
        return [function(item) for item in group]

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        while chunk := list(itertools.islice(iterator, BLOCK)):
            # Odd files are readable or errors. The TIFF library writes past Pillow.
            with warnings.catch_warnings(), keras_setup.silent_stderr():
                warnings.simplefilter("ignore")
                groups = [chunk[i : i + _GROUP] for i in range(0, len(chunk), _GROUP)]
                results = list(pool.map(several, groups))
            for result in results:
                yield from result


def is_system(name: str) -> bool:
    """Tells whether an entry of a folder is hidden or belongs to the system."""
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def is_image(path: pathlib.Path) -> bool:
    """Tells whether a file is meant as an image, by its suffix or its content."""
    if path.suffix.lower() in _SUFFIXES:
        return True
    with contextlib.suppress(Exception):  # Pillow raises a dozen types.
        if os.path.isfile(path):  # Opening a pipe would block for ever.
            PIL.Image.open(path, formats=_formats()).close()
            return True
    return False


@functools.cache
def _formats() -> list[str]:
    """Returns those formats that this Pillow was built with."""
    PIL.Image.init()
    return [name for name in _FORMATS if name in PIL.Image.OPEN]


def _check(image: PIL.Image.Image, suffix: str) -> None:
    """Refuses an image by its header, before any pixel is decoded."""
    if suffix in _RAW:
        raise ValueError("it is a camera's raw file; convert it to PNG or JPEG")
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"it has more than {MAX_PIXELS} pixels")
    # Of TIFF, BitsPerSample; `BGR;16` has five or six bits a channel.
    bits = getattr(image, "tag_v2", {}).get(258, (8,))
    tile = str(getattr(image, "tile", "")).replace("BGR;16", "")
    if image.mode.startswith(("I", "F")) or max(bits) > 8 or ";16" in tile:
        raise ValueError("it has more than 8 bits per channel; convert it to 8")
    if getattr(image, "is_animated", False) and image.format not in _STILL_FORMATS:
        raise ValueError(f"it holds several pictures ({image.format}); keep one")


def _upright(image: PIL.Image.Image) -> PIL.Image.Image:
    """Turns an image as its EXIF orientation says; broken EXIF is ignored."""
    image.load()
    with contextlib.suppress(Exception):  # Of a dozen types.
        image.getexif()  # The image keeps what it has parsed.
        # Otherwise it would be written again, which fails if any tag is broken.
        image.info.pop("exif", None)
        PIL.ImageOps.exif_transpose(image, in_place=True)
    return image


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
    def black(self) -> tuple[int, ...]:
        """What it makes of a black pixel: red, green and blue."""
        return tuple(self(np.zeros([1, 3], np.uint8))[0].tolist())

    @property
    def slug(self) -> str:
        """Its name in result paths, such as `cast_1_0.6_0.3`; empty for none."""
        if self.kind == NO_SHIFT:
            return ""
        return str(self).translate(str.maketrans(":,", "__"))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Returns a shifted copy of pixels, uint8 `[n, ..., 3]`, RGB."""
        shifted = images.copy()
        if self.kind == NO_SHIFT:
            return shifted
        tables = None if self.kind == "gray" else _tables(self)
        for start in range(0, len(images), BLOCK):  # Gray levels are float64 at first.
            block = shifted[start : start + BLOCK]
            if tables is None:
                block[:] = _to_pixels(block @ _LUMA / 1000)[..., np.newaxis]
                continue
            for channel, table in enumerate(tables):
                block[..., channel] = table[block[..., channel]]
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


def parse_shift(text: str) -> Shift:
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
