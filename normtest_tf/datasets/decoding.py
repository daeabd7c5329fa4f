"""Decodes image files into uint8 RGB arrays; errors name the file."""

from __future__ import annotations

import concurrent.futures
import io
import itertools
import os
import pathlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

from normtest_tf import errors

# Pillow's own threshold for a suspected decompression bomb: 256 MiB of pixels.
MAX_PIXELS = 89_478_485
_CHUNK = 256

_Item = TypeVar("_Item")


def decode(data: bytes, name: str, image_size: int | None) -> np.ndarray:
    """Decodes one PNG or JPEG file.

    Args:
        data: The file's bytes.
        name: The file's name, for error messages.
        image_size: Height and width in pixels to resize to, bilinearly; None to
            keep the image's own size.

    Returns:
        uint8 `[height, width, 3]`, whatever the file's colour mode: grey values
        are repeated, palettes looked up and alpha channels dropped.

    Raises:
        UsageError: If the file can't be decoded, is suspiciously large, or has
            more than 8 bits per channel.
    """
    import PIL.Image  # Here, so that importing the package stays light.

    try:
        # Every further format would give a hostile file another decoder to attack.
        with PIL.Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            _check_header(image.size, image.mode, name)
            rgb = image.convert("RGB")
    except errors.UsageError:
        raise
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning):
        raise _too_large(name) from None
    except Exception as error:  # Pillow's decoders raise a dozen types.
        raise errors.UsageError(
            f"{name} ({len(data)} bytes) can't be decoded as PNG or JPEG: "
            f"{_reason(error)}. Repair or remove it"
        ) from error
    if image_size is not None and rgb.size != (image_size, image_size):
        rgb = rgb.resize((image_size, image_size), PIL.Image.Resampling.BILINEAR)
    return np.asarray(rgb)


def decode_file(path: pathlib.Path) -> np.ndarray:
    """Reads one PNG or JPEG file at its own size.

    Args:
        path: The file.

    Returns:
        uint8 `[height, width, 3]`; see `decode`.

    Raises:
        UsageError: If the file can't be read or decoded.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise errors.UsageError(
            f"{path} can't be read: {error.strerror}. Repair or remove it"
        ) from error
    return decode(data, str(path), image_size=None)


def map_in_threads(
    function: Callable[[_Item], np.ndarray], items: Iterable[_Item]
) -> Iterator[np.ndarray]:
    """Applies `function` to `items`, with one thread per core.

    Items are consumed in chunks, so that an iterator which reads files never has all
    of them in memory.

    Args:
        function: Decodes one item.
        items: The encoded images.

    Yields:
        The arrays, in the order of `items`.
    """
    import PIL.Image

    iterator = iter(items)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        while chunk := list(itertools.islice(iterator, _CHUNK)):
            with warnings.catch_warnings():
                # `decode` turns it into an error that names the file.
                warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
                results = list(pool.map(function, chunk))
            yield from results


def _check_header(size: tuple[int, int], mode: str, name: str) -> None:
    """Refuses an image by its header, before any pixel is decoded."""
    if size[0] * size[1] > MAX_PIXELS:
        raise _too_large(name)
    if mode.startswith(("I", "F")):
        raise errors.UsageError(
            f"{name} has more than 8 bits per channel (mode {mode}), which would be "
            "clipped. Convert it to 8 bits"
        )


def _too_large(name: str) -> errors.UsageError:
    return errors.UsageError(
        f"{name} declares more than {MAX_PIXELS} pixels, which looks like a "
        "decompression bomb. Remove it or make it smaller"
    )


def _reason(error: Exception) -> str:
    import PIL

    # Its message contains nothing but the address of a Python object.
    if isinstance(error, PIL.UnidentifiedImageError):
        return "unknown file format"
    return errors.one_line(error)
