"""Decodes image files into uint8 RGB arrays; errors name the file."""

from __future__ import annotations

import concurrent.futures
import contextlib
import io
import itertools
import logging
import os
import pathlib
import re
import stat
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from normtest_tf import errors
from normtest_tf.datasets import picture_kinds
from normtest_tf.system import files, keras_setup
from normtest_tf.text import shown

if TYPE_CHECKING:
    import PIL.Image

# Pillow's own threshold for a suspected decompression bomb: 256 MiB of pixels.
MAX_PIXELS = 89_478_485
_CHUNK = 256
# Any reader of PNG shows the first picture of an animated one, and any reader of JPEG
# the first of several; the others have no still picture.
_STILL_FORMATS = ("PNG", "JPEG", "MPO")
_ORIENTATION = 0x0112
_BITS_PER_SAMPLE = 0x0102
# Of a grey or colour image: kind, width, height and largest value, with comments.
_PPM_HEADER = rb"P[2356](?:(?:\s|#[^\n]*\n)+\d+){2}(?:\s|#[^\n]*\n)+(\d{1,5})\s"

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class BadImage(errors.UsageError):
    """A file that is no usable image.

    Args:
        name: The file's name.
        reason: What it is, as in "is empty".
        advice: What to do about it, without a trailing full stop; "" if the reason
            says so. Default: to repair or remove it.

    Attributes:
        problem: The reason, and advice that goes beyond the default.
    """

    def __init__(self, name: str, reason: str, advice: str | None = None) -> None:
        # Positional, for pickle: given by keyword they would not be in `args`.
        super().__init__(name, reason, advice)
        self.problem = f"{reason}: {advice}" if advice else reason

    def __str__(self) -> str:
        """Names the file, and says what to do."""
        name, _, advice = self.args
        end = ". Repair or remove it" if advice is None else ""
        return f"{shown(name)} {self.problem}{end}"


def decode(
    data: bytes, name: str, image_size: int | None = None, resize: str = "squash"
) -> np.ndarray:
    """Decodes one image file: PNG, JPEG, WebP, GIF, BMP, TIFF, PPM, AVIF or JPEG 2000.

    Args:
        data: The file's bytes; its format is told from them.
        name: The file's name, for error messages.
        image_size: Height and width in pixels to resize to, as `resized` does; None to
            keep the image's own size.
        resize: One of `options.RESIZES`.

    Returns:
        uint8 `[height, width, 3]`, whatever the file's colour mode: grey values
        are repeated, palettes looked up and alpha channels dropped. The image is
        turned as its EXIF orientation says.

    Raises:
        BadImage: If the file is no still picture that can be decoded, is suspiciously
            large, or has more than 8 bits per channel.
    """
    import PIL.Image  # Here, so that importing the package stays light.

    image_format = _checked_format(data[: picture_kinds.HEAD_BYTES], name)
    try:
        with quiet_pillow:
            rgb = _upright_rgb(data, name, image_format)
    except BadImage:
        raise
    except PIL.Image.DecompressionBombError:
        raise _too_large(name) from None
    except Exception as error:  # Pillow's decoders raise a dozen types.
        raise _failure(data, name, image_format, error) from error
    pixels = np.asarray(rgb)
    return pixels if image_size is None else resized(pixels, image_size, resize)


def resized(
    pixels: np.ndarray, size: int | tuple[int, int], resize: str = "squash"
) -> np.ndarray:
    """Makes an image a square, or a rectangle, of a size.

    Pillow's bilinear filter does it, which is antialiased where the image becomes
    smaller.

    Args:
        pixels: uint8 `[height, width, 3]`.
        size: The new height and width, or one number for both.
        resize: What happens to proportions. `squash`: they change. `crop`: the largest
            part in the middle that has the new ones is taken. `pad`: black borders are
            added.

    Returns:
        uint8 `[height, width, 3]`.
    """
    import PIL.Image
    import PIL.ImageOps

    height, width = size if isinstance(size, tuple) else (size, size)
    if pixels.shape == (height, width, 3):
        return pixels
    image, bilinear = PIL.Image.fromarray(pixels), PIL.Image.Resampling.BILINEAR
    if resize == "crop":
        image = PIL.ImageOps.fit(image, (width, height), bilinear)
    elif resize == "pad":
        scale = min(width / image.width, height / image.height)
        inner = [max(1, round(side * scale)) for side in image.size]
        padded = PIL.Image.new("RGB", (width, height))
        corner = (round((width - inner[0]) / 2), round((height - inner[1]) / 2))
        padded.paste(image.resize((inner[0], inner[1]), bilinear), corner)
        image = padded
    else:
        image = image.resize((width, height), bilinear)
    return np.asarray(image)


def decode_file(
    path: pathlib.Path, image_size: int | None = None, resize: str = "squash"
) -> np.ndarray:
    """Reads one image file.

    Args:
        path: The file.
        image_size: As for `decode`.
        resize: As for `decode`.

    Returns:
        uint8 `[height, width, 3]`; see `decode`.

    Raises:
        BadImage: If the file can't be read or decoded.
    """
    name = str(path)
    try:
        # Opening a named pipe would block for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadImage(name, "is not a file", "name image files")
        with path.open("rb") as file:
            head = file.read(picture_kinds.HEAD_BYTES)
            _checked_format(head, name)  # Before gigabytes of video are read.
            data = head + file.read()
    except OSError as error:
        raise BadImage(name, f"can't be read ({errors.reason(error)})") from error
    return decode(data, name, image_size, resize)


def map_in_threads(
    function: Callable[[_Item], _Result], items: Iterable[_Item]
) -> Iterator[_Result]:
    """Applies `function` to `items`, with one thread per core.

    Items are consumed in chunks, so that an iterator which reads files never has all
    of them in memory.

    Args:
        function: Decodes one item.
        items: The encoded images.

    Yields:
        The results, in the order of `items`.
    """
    iterator = iter(items)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        while chunk := list(itertools.islice(iterator, _CHUNK)):
            # The TIFF library writes to stderr itself, past Pillow.
            with quiet_pillow, keras_setup.silent_stderr():
                results = list(pool.map(function, chunk))
            yield from results


class _QuietPillow:
    """Drops Pillow's warnings on odd files; they are either readable or errors.

    Several threads may be within it at a time: the last one restores everything.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._restore = contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._restore.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
                logger = logging.getLogger("PIL")
                self._restore.callback(logger.setLevel, logger.level)
                logger.setLevel(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._restore.close()


quiet_pillow = _QuietPillow()


def _checked_format(head: bytes, name: str) -> str:
    """Returns Pillow's name for the format, or raises `BadImage`."""
    import PIL.Image

    suffix = pathlib.PurePath(name).suffix.lower()
    unreadable = picture_kinds.unreadable_format(head, suffix)
    image_format = None if unreadable else picture_kinds.readable_format(head)
    if image_format is not None:
        PIL.Image.init()
        if image_format in PIL.Image.OPEN:
            return image_format
        unreadable = image_format
    if unreadable is not None:
        what = f"is {unreadable}, which is not read here"
        raise BadImage(name, what, "convert it to PNG or JPEG")
    if not head:
        raise BadImage(name, "is empty")
    if kind := files.unusable_kind(head):
        raise BadImage(name, f"is {kind}", "")
    kind = picture_kinds.other_kind(head)
    if kind is not None:
        raise BadImage(name, f"is {kind}, not an image")
    raise BadImage(name, "is not an image (unknown file format)")


def _upright_rgb(data: bytes, name: str, image_format: str) -> PIL.Image.Image:
    """Decodes an image, in RGB and the right way up."""
    import PIL.Image

    with PIL.Image.open(io.BytesIO(data), formats=[image_format]) as image:
        _check_header(image, name, data[: picture_kinds.HEAD_BYTES])
        image.load()
        turn = _turn(image)
        rgb = image.convert("RGB")
    return rgb if turn is None else rgb.transpose(turn)


def _turn(image: PIL.Image.Image) -> PIL.Image.Transpose | None:
    """Returns what turns a loaded image upright, as `ImageOps.exif_transpose` does."""
    import PIL.Image

    # Its table, not the function, which raises if any other tag is broken.
    turns = PIL.Image.Transpose
    try:
        # Pillow has turned TIFF already, and forgotten the tag.
        return {
            2: turns.FLIP_LEFT_RIGHT,
            3: turns.ROTATE_180,
            4: turns.FLIP_TOP_BOTTOM,
            5: turns.TRANSPOSE,
            6: turns.ROTATE_270,
            7: turns.TRANSVERSE,
            8: turns.ROTATE_90,
        }.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # Broken EXIF, which viewers ignore, raises a dozen types.
        return None


def _check_header(image: PIL.Image.Image, name: str, head: bytes) -> None:
    """Refuses an image by its header, before any pixel is decoded."""
    if image.size[0] * image.size[1] > MAX_PIXELS:
        raise _too_large(name)
    if image.mode.startswith(("I", "F")) or _bits(image, head) > 8:
        raise BadImage(
            name,
            f"has more than 8 bits per channel (mode {image.mode}), which would be "
            "clipped",
            "convert it to 8 bits",
        )
    is_animated = getattr(image, "is_animated", False)
    if is_animated and image.format not in _STILL_FORMATS:
        kind = "holds several pages" if image.format == "TIFF" else "is animated"
        raise BadImage(
            name, f"{kind} ({image.format})", "save one picture of it, or remove it"
        )


def _bits(image: PIL.Image.Image, head: bytes) -> int:
    """Returns the bits per channel in the formats whose excess Pillow drops."""
    if image.format == "PNG":
        return head[24]  # In its first chunk, which is always the header.
    if image.format == "TIFF":
        return max(getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (8,)))
    if found := re.match(_PPM_HEADER, head):
        return int(found[1]).bit_length()
    return 8


def _too_large(name: str) -> BadImage:
    return BadImage(
        name,
        f"declares more than {MAX_PIXELS} pixels, as decompression bombs do",
        "remove it or make it smaller",
    )


def _failure(data: bytes, name: str, image_format: str, error: Exception) -> BadImage:
    """Returns the error for an image that can't be decoded."""
    import PIL

    size = f"{len(data)} bytes"
    if "truncated" in str(error).lower() or _is_cut_off(data, image_format):
        return BadImage(name, f"is truncated ({size})", "copy or download it again")
    # Its message contains nothing but the address of a Python object.
    is_bare = isinstance(error, PIL.UnidentifiedImageError)
    reason = "it is corrupt" if is_bare else errors.one_line(error)
    return BadImage(name, f"({size}) can't be decoded as {image_format} ({reason})")


def _is_cut_off(data: bytes, image_format: str) -> bool:
    """Tells whether the end of a file is missing, where Pillow does not say so."""
    if image_format == "PNG":
        return b"IEND" not in data[-512:]
    if image_format == "GIF":
        return b"\x3b" not in data[-16:]
    if image_format == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    return False
