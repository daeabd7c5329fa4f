"""Image files of every format and orientation, and what is no image."""

import io
import os
import pickle
import struct
import warnings
import zlib

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

from normtest_tf.datasets import images
from tests.datasets import helpers

PIXELS = np.zeros((16, 24, 3), np.uint8)
PIXELS[:4, :, 0] = 255
PIXELS[:, :4, 1] = 200
PICTURE = PIL.Image.fromarray(PIXELS)


def encoded(kind, image=PICTURE, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "kind", ["PNG", "GIF", "BMP", "TIFF", "PPM", "JPEG", "WEBP", "JPEG2000"]
)
def test_formats_are_known_by_their_content(kind):
    image = images.decode(encoded(kind), "a.jpg")
    is_lossy = kind in ("JPEG", "WEBP", "JPEG2000")
    error = np.abs(image.astype(int) - PIXELS).mean()
    assert error < 20 if is_lossy else error == 0


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *(("1", "PNG"), ("L", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("RGBA", "PNG")),
        *(("CMYK", "JPEG"), ("L", "JPEG"), ("YCbCr", "JPEG"), ("P", "GIF")),
    ],
)
def test_every_colour_mode_becomes_rgb_as_pillow_converts_it(mode, kind):
    data = encoded(kind, PICTURE.convert(mode))
    expected = PIL.Image.open(io.BytesIO(data)).convert("RGB")
    image = images.decode(data, "a")
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, np.asarray(expected))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [0, 1, 2, 5, 6, 7, 8, 9])
def test_images_are_turned_as_their_exif_orientation_says(kind, orientation):
    exif = PIL.Image.Exif()
    exif[0x112] = orientation
    data = encoded(kind, exif=exif.tobytes())
    expected = PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(data)))
    image = images.decode(data, "a")
    np.testing.assert_array_equal(image, np.asarray(expected.convert("RGB")))


# Orientation 6, and a resolution that lies outside of the data.
HALF_BROKEN = struct.pack("<H", 2)
HALF_BROKEN += struct.pack("<HHII", 0x112, 3, 1, 6)
HALF_BROKEN += struct.pack("<HHII", 0x11A, 5, 1, 200_000) + bytes(4)


@pytest.mark.parametrize(
    "exif",
    [
        b"II*\0\x08\0\0\0\xff\xff",
        b"\xff" * 40,
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\xff\0\0\0\x00",
        b"II*\0\x08\0\0\0" + HALF_BROKEN,
    ],
    ids=["cut", "noise", "wrong type", "another tag"],
)
@pytest.mark.filterwarnings("ignore")
def test_broken_exif_is_ignored(exif):
    expected = (24, 16, 3) if exif.endswith(HALF_BROKEN) else PIXELS.shape
    for kind in ("JPEG", "PNG", "WEBP"):
        data = encoded(kind, exif=b"Exif\0\0" + exif)
        assert images.decode(data, "a").shape == expected


def test_messages_of_pillow_and_its_libraries_do_not_leak(tmp_path, capfd):
    palette = PICTURE.quantize(4)
    (tmp_path / "a.png").write_bytes(
        encoded("PNG", palette, transparency=b"\0\x80\xff\xff")
    )
    damaged = bytearray(encoded("TIFF", compression="tiff_deflate"))
    damaged[10:30] = bytes(20)
    (tmp_path / "a.tif").write_bytes(damaged)

    def read(name):
        try:
            return images.decode_file(tmp_path / name)
        except images.BadImage as error:
            return error

    before = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image, error = images.map_in_threads(read, ["a.png", "a.tif"])
    np.testing.assert_array_equal(image, np.asarray(palette.convert("RGB")))
    assert "a.tif" in str(error)
    assert capfd.readouterr().err == ""
    assert warnings.filters == before


FRAMES = {"save_all": True, "append_images": [PICTURE.rotate(180)]}


@pytest.mark.parametrize("kind", ["PNG", "MPO"])
def test_the_picture_that_every_reader_shows_is_read(kind):
    image = images.decode(encoded(kind, **FRAMES), "a.png")
    assert np.abs(image.astype(int) - PIXELS).mean() < 20


def png(header, data=b""):
    """Returns a PNG of a header: width, height, bits and colour type."""
    found = b"\x89PNG\r\n\x1a\n"
    for kind, body in (
        (b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0)),
        (b"IDAT", zlib.compress(data)),
        (b"IEND", b""),
    ):
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        found += struct.pack(">I", len(body)) + kind + body + checksum
    return found


def tiff_of_planes(bits):
    """Returns a TIFF of 1x1 pixels of zeros, whose channels are stored apart."""
    data = 8 + 2 + 10 * 12 + 4  # Behind the only directory.
    tags = [(256, 3, 1, 1), (257, 3, 1, 1), (258, 3, 3, data), (259, 3, 1, 1)]
    tags += [(262, 3, 1, 2), (273, 4, 3, data + 6), (277, 3, 1, 3), (278, 3, 1, 1)]
    tags += [(279, 4, 3, data + 18), (284, 3, 1, 2)]
    found = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    found += b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    strips = (data + 30, data + 32, data + 34, *[bits // 8] * 3)
    return found + struct.pack("<3H6I", *[bits] * 3, *strips) + bytes(6)


def bmp_of_16_bits():
    """Returns a BMP of a red pixel, which has five or six bits a channel."""
    header = struct.pack("<2sIIIIiiHHI", b"BM", 70, 0, 66, 40, 1, 1, 1, 16, 3)
    masks = struct.pack("<IiiII3I", 4, 0, 0, 0, 0, 0xF800, 0x7E0, 0x1F)
    return header + masks + struct.pack("<HH", 0xF800, 0)


def test_few_bits_a_channel_are_read():
    for data, color in ((tiff_of_planes(8), 0), (bmp_of_16_bits(), 255)):
        assert images.decode(data, "a")[0, 0].tolist() == [color, 0, 0]


NOISE = PIL.Image.fromarray(np.random.RandomState(0).randint(0, 256, (64, 64, 3), "B"))
DEEP = PIL.Image.fromarray(np.full([4, 4], 3000, np.uint16))
DEEP_COLOUR = png((2, 2, 16, 2), 2 * (b"\0" + bytes(12)))
UNUSABLE = {
    "empty": (b"", "it is empty"),
    "web page": (b"<!doctype html>", "it is a web page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1", "git lfs"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "can't identify it"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0", "can't identify it"),
    "truncated": (encoded("PNG", NOISE)[:1000], "truncated"),
    "bomb": (png((9_460, 9_460, 8, 2)), "pixels"),
    "16 bits of grey": (encoded("PNG", DEEP), "more than 8 bits"),
    "16 bits in TIFF": (encoded("TIFF", DEEP), "more than 8 bits"),
    "16 bits of colour": (DEEP_COLOUR, "more than 8"),
    "16 bits in planes": (tiff_of_planes(16), "more than 8"),
    **{
        kind: (encoded(kind, **FRAMES), "several pictures")
        for kind in ("GIF", "WEBP", "TIFF")
    },
}


@pytest.mark.parametrize("name", UNUSABLE)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_can_not_be_used_is_named_with_the_reason(name, tmp_path):
    data, words = UNUSABLE[name]
    path = tmp_path / "cat.jpg"
    path.write_bytes(data)
    with helpers.usage_error(path, words) as caught:
        images.decode_file(path)
    error = pickle.loads(pickle.dumps(caught.value))
    assert str(error) == str(caught.value)


def test_raw_files_pipes_and_missing_files_are_refused_at_once(tmp_path):
    (tmp_path / "IMG.DNG").write_bytes(encoded("TIFF"))  # Pillow finds a preview.
    os.mkfifo(tmp_path / "pipe.png")
    for name, words in (
        ("pipe.png", "not a file"),
        ("no.png", "No such file"),
        ("IMG.DNG", "camera's raw file"),
    ):
        with helpers.usage_error(tmp_path / name, words):
            images.decode_file(tmp_path / name)


@pytest.mark.parametrize("size", [(9, 5), (5, 9), (40, 31), (3, 3), (3000, 1)])
def test_resizing_is_pillows_antialiased_bilinear_filter(size):
    pixels = np.random.default_rng(0).integers(1, 256, (size[1], size[0], 3), np.uint8)
    image, bilinear = PIL.Image.fromarray(pixels), PIL.Image.Resampling.BILINEAR
    squashed = np.asarray(image.resize((8, 8), bilinear))
    np.testing.assert_array_equal(images.resized(pixels, 8), squashed)
    side = min(size)
    left, top = (size[0] - side) / 2, (size[1] - side) / 2
    box = (left, top, left + side, top + side)
    cropped = np.asarray(image.resize((8, 8), bilinear, box=box))
    np.testing.assert_array_equal(images.resized(pixels, 8, "crop"), cropped)
    inner = tuple(max(1, round(8 * length / max(size))) for length in size)
    expected = PIL.Image.new("RGB", (8, 8))
    corner = (round((8 - inner[0]) / 2), round((8 - inner[1]) / 2))
    expected.paste(image.resize(inner, bilinear), corner)
    padded = images.resized(pixels, 8, "pad")
    np.testing.assert_array_equal(padded, np.asarray(expected))
    assert images.resized(pixels, (size[1], size[0]), "pad") is pixels
