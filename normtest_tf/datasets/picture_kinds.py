"""What an image file is, by its first bytes, whatever its name says."""

from __future__ import annotations

import re

from normtest_tf.system import files

HEAD_BYTES = files.HEAD_BYTES

# Suffixes of files that their owner takes for pictures, readable or not.
_READABLE_SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".webp", ".gif"),
    *(".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif"),
    *(".jp2", ".j2k", ".jpx"),
)
_UNREADABLE_SUFFIXES = (
    *(".heic", ".heif", ".hif", ".jxl", ".svg", ".psd", ".xcf", ".eps", ".exr"),
    *(".tga", ".pcx", ".qoi", ".dds", ".ico"),
)
_RAW_SUFFIXES = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef"),
    *(".raf", ".rw2", ".srw"),
)
SUFFIXES = frozenset([*_READABLE_SUFFIXES, *_UNREADABLE_SUFFIXES, *_RAW_SUFFIXES])

_PPM = re.compile(rb"P[1-6]\s+(#[^\n]*\n\s*)*\d+\s+\d+\s")
_BMP_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)
# Cameras, browsers and research use these; every further format would give a hostile
# file another decoder to attack, and EPS would even start a program.
_READABLE = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\xff\x4f\xff\x51": "JPEG2000",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
}
_UNREADABLE = {
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"8BPS": "PSD (Photoshop)",
    b"gimp xcf": "XCF (GIMP)",
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"v/1\x01": "OpenEXR",
    b"qoif": "QOI",
    b"DDS ": "DDS",
}
_OTHERS = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\x1a\x45\xdf\xa3": "a video",
    b"\0\0\x01\xba": "a video",
    b"\0\0\x01\xb3": "a video",
    b"FLV": "a video",
    b"\0\0\x01\0": "an icon (ICO)",
    b"\0\x05\x16\x07": "a file of macOS that holds no picture (AppleDouble)",
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"\xd0\xcf\x11\xe0": "an Office file",
    b"SQLite format 3": "a database",
}
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def readable_format(head: bytes) -> str | None:
    """Returns Pillow's name for the format of a picture that this project reads.

    Args:
        head: The file's first `HEAD_BYTES` bytes, or all of them.

    Returns:
        A name such as `PNG`, or None for anything else. Photographs in JPEG files
        with several pictures (MPO) are `JPEG`.

    Example:
    ```python
    assert readable_format(b"GIF89a...") == "GIF"
    ```
    """
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith(b"BM") and _little(head[14:18]) in _BMP_HEADER_SIZES:
        return "BMP"
    if _PPM.match(head):
        return "PPM"
    if _brand(head) == "AVIF":
        return "AVIF"
    return _by_magic(head, _READABLE)


def unreadable_format(head: bytes, suffix: str = "") -> str | None:
    """Returns the name of a format of pictures that this project does not read.

    Args:
        head: The file's first `HEAD_BYTES` bytes, or all of them.
        suffix: The file's suffix in lower case. Raw files of cameras are TIFF inside,
            where Pillow would find a preview.

    Returns:
        A name such as `HEIC`, or None for anything else.
    """
    if suffix in _RAW_SUFFIXES:
        return "a camera's raw file"
    if b"<svg" in head.lower() and head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        return "SVG"
    if head[128:132] == b"DICM":
        return "DICOM"
    brand = _brand(head)
    return brand if brand == "HEIC" else _by_magic(head, _UNREADABLE)


def other_kind(head: bytes) -> str | None:
    """Says what a file is that holds no picture.

    Args:
        head: The file's first `HEAD_BYTES` bytes, or all of them; nothing that
            `files.unusable_kind` knows.

    Returns:
        A phrase that completes "it is ...", or None if that is unknown.
    """
    if kind := _by_magic(head, _OTHERS):
        return kind
    if _brand(head) == "video" or head.startswith(b"RIFF"):
        return "a video or sound"
    if not re.search(rb"[\0-\x08\x0e-\x1a]", head) and _is_utf8(head):
        return "text"
    return None


def is_picture(head: bytes, suffix: str) -> bool:
    """Tells whether a file is meant as a picture, by its name or its content.

    Args:
        head: The file's first `HEAD_BYTES` bytes, or all of them.
        suffix: The file's suffix in lower case.
    """
    return (
        suffix in SUFFIXES
        or readable_format(head) is not None
        or unreadable_format(head) is not None
    )


def _by_magic(head: bytes, kinds: dict[bytes, str]) -> str | None:
    return next((kind for magic, kind in kinds.items() if head.startswith(magic)), None)


def _brand(head: bytes) -> str | None:
    """Tells apart what shares the container of MP4."""
    if head[4:8] != b"ftyp":
        return None
    if b"avif" in head[8:40] or b"avis" in head[8:12]:
        return "AVIF"
    return "HEIC" if head[8:12] in _HEIC_BRANDS else "video"


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _is_utf8(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3  # A character that the head cuts off.
    return True
