"""Image files of every format and orientation, and what is no image."""

import concurrent.futures
import io
import pickle
import struct
import threading
import warnings
import zlib

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

from normtest_tf.datasets import decoding
from tests.datasets import helpers

PIXELS = np.zeros((16, 24, 3), np.uint8)
PIXELS[:4, :, 0] = 255
PIXELS[:, :4, 1] = 200
PICTURE = PIL.Image.fromarray(PIXELS)


def encoded(kind, image=PICTURE, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "PPM"])
def test_lossless_formats_are_told_by_their_content(kind):
    image = decoding.decode(encoded(kind), "a.jpg", None)
    np.testing.assert_array_equal(image, PIXELS)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "JPEG2000"])
def test_lossy_formats_are_told_by_their_content(kind):
    image = decoding.decode(encoded(kind), "noname", None)
    assert np.abs(image.astype(int) - PIXELS).mean() < 20


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(10))
def test_images_are_turned_as_their_exif_orientation_says(kind, orientation):
    exif = PIL.Image.Exif()
    exif[0x112] = orientation
    data = encoded(kind, exif=exif.tobytes())
    expected = PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(data)))
    image = decoding.decode(data, "a", None)
    np.testing.assert_array_equal(image, np.asarray(expected.convert("RGB")))
    if 5 <= orientation <= 8:
        assert image.shape == (24, 16, 3)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        b"Exif\0\0" + b"\xff" * 40,
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\xff\0\0\0\x00",
    ],
    ids=["nothing", "cut", "noise", "wrong type"],
)
def test_broken_exif_is_ignored(exif):
    for kind in ("JPEG", "PNG", "WEBP"):
        image = decoding.decode(encoded(kind, exif=exif), "a", None)
        assert image.shape == PIXELS.shape


def test_pillows_warnings_do_not_leak():
    palette = PICTURE.quantize(4)
    data = encoded("PNG", palette, transparency=b"\0\x80\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="Transparency"):
            PIL.Image.open(io.BytesIO(data)).convert("RGB")
        decoding.decode(data, "a", None)
        (image,) = decoding.map_in_threads(
            lambda data: decoding.decode(data, "a", None), [data]
        )
    np.testing.assert_array_equal(image, np.asarray(palette.convert("RGB")))


def test_the_tiff_librarys_own_messages_do_not_leak(tmp_path, capfd):
    data = bytearray(encoded("TIFF", compression="tiff_deflate"))
    data[10:30] = bytes(20)
    (tmp_path / "a.tif").write_bytes(data)

    def read(path):
        with pytest.raises(decoding.BadImage) as caught:
            decoding.decode_file(path)
        return caught.value

    (error,) = decoding.map_in_threads(read, [tmp_path / "a.tif"])
    assert "can't be decoded as TIFF" in str(error)
    assert capfd.readouterr().err == ""
    read(tmp_path / "a.tif")
    assert "ZIPDecode" in capfd.readouterr().err  # What does not leak above.


FRAMES = {"save_all": True, "append_images": [PICTURE.rotate(180)]}


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF"])
def test_animations_and_pages_are_refused(kind):
    with helpers.usage_error("a.png", kind, "save one picture"):
        decoding.decode(encoded(kind, **FRAMES), "a.png", None)


@pytest.mark.parametrize("kind", ["PNG", "MPO"])
def test_the_picture_that_every_reader_shows_is_read(kind):
    image = decoding.decode(encoded(kind, **FRAMES), "a.png", None)
    assert np.abs(image.astype(int) - PIXELS).mean() < 20


MP4 = b"\0\0\0\x18ftyp"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty. Repair or remove it"),
        (
            b"<!doctype html><p>Not found",
            "is a web page, not the file itself: download it",
        ),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (bytes(99), "zero bytes"),
        (MP4 + b"heic\0\0\0\0mif1heic", "is HEIC, which is not read here: convert"),
        (MP4 + b"mif1\0\0\0\0heic", "is HEIC"),
        (MP4 + b"isom\0\0\2\0isom", "video"),
        (b"\xff\x0a\x00\x00", "is JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "is JPEG XL"),
        (b'<?xml version="1.0"?><svg xmlns="x">', "is SVG"),
        (b"8BPS\0\1", "is PSD"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "is PostScript"),
        (b"%PDF-1.7", "a PDF, not an image"),
        (b"PK\x03\x04\0\0", "a zip archive, not an image"),
        (b"\x1a\x45\xdf\xa3webm", "a video"),
        (b"caf\xc3\xa9\n", "is text, not an image"),
        (b"\x01\x02\x03\xff", "unknown file format"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "truncated (10 bytes)"),
    ],
)
def test_what_is_no_image_is_named_by_what_it_is(data, words, tmp_path):
    with helpers.usage_error("cat.jpg ", words):
        decoding.decode(data, "cat.jpg", None)
    (tmp_path / "cat.jpg").write_bytes(data)
    with helpers.usage_error(tmp_path / "cat.jpg", words):
        decoding.decode_file(tmp_path / "cat.jpg")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_a_file_that_is_cut_off_says_so(kind):
    noise = np.random.RandomState(0).randint(0, 256, (64, 64, 3), np.uint8)
    data = encoded(kind, PIL.Image.fromarray(noise))
    for length in (len(data) // 2, len(data) * 9 // 10):
        with helpers.usage_error("is truncated", f"{length} bytes"):
            decoding.decode(data[:length], "a", None)


def test_a_raw_file_of_a_camera_is_refused_though_pillow_finds_a_preview():
    with helpers.usage_error("IMG.DNG", "camera's raw file", "convert it"):
        decoding.decode(encoded("TIFF"), "IMG.DNG", None)


def test_a_bad_image_survives_pickle():
    for advice in (None, "", "buy another"):
        error = decoding.BadImage("a.png", "is empty", advice)
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_advice_is_given_once_whatever_the_reason_says():
    assert str(decoding.BadImage("a", "b: c, d")) == "a b: c, d. Repair or remove it"
    assert str(decoding.BadImage("a", "b", "c")) == "a b: c"
    assert str(decoding.BadImage("a", "b: c", "")) == "a b: c"
    assert decoding.BadImage("a", "b").problem == "b"
    assert decoding.BadImage("a", "b", "c").problem == "b: c"


@pytest.mark.parametrize("size", [(9, 5), (5, 9), (40, 31), (3, 3)])
def test_resizing_is_pillows_antialiased_bilinear_filter(size):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    image, bilinear = PIL.Image.fromarray(pixels), PIL.Image.Resampling.BILINEAR
    squashed = np.asarray(image.resize((8, 8), bilinear))
    np.testing.assert_array_equal(decoding.resized(pixels, 8), squashed)
    side = min(size)
    left, top = (size[0] - side) / 2, (size[1] - side) / 2
    box = (left, top, left + side, top + side)
    cropped = np.asarray(image.resize((8, 8), bilinear, box=box))
    np.testing.assert_array_equal(decoding.resized(pixels, 8, "crop"), cropped)
    inner = tuple(max(1, round(8 * length / max(size))) for length in size)
    expected = PIL.Image.new("RGB", (8, 8))
    corner = (round((8 - inner[0]) / 2), round((8 - inner[1]) / 2))
    expected.paste(image.resize(inner, bilinear), corner)
    padded = decoding.resized(pixels, 8, "pad")
    np.testing.assert_array_equal(padded, np.asarray(expected))


def test_an_image_of_the_right_size_is_left_alone():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    for resize in ("squash", "crop", "pad"):
        assert decoding.resized(pixels, 8, resize) is pixels


def test_warnings_come_back_when_the_last_thread_is_done():
    barrier = threading.Barrier(4)

    def decode(_):
        barrier.wait()
        with decoding.quiet_pillow:
            barrier.wait()

    before = list(warnings.filters)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(decode, range(8)))
    assert warnings.filters == before


def sixteen_bit_files():
    """Yields colour images of 16 bits per channel, which Pillow would make 8."""
    for colours, name in ((2, "rgb.png"), (4, "grey_alpha.png")):
        size = 12 if colours == 2 else 8
        data = zlib.compress(b"".join(b"\0" + bytes(size) for _ in range(2)))
        header = struct.pack(">IIBBBBB", 2, 2, 16, colours, 0, 0, 0)
        chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
        yield (
            b"\x89PNG\r\n\x1a\n"
            + b"".join(
                struct.pack(">I", len(body))
                + kind
                + body
                + struct.pack(">I", zlib.crc32(kind + body))
                for kind, body in chunks
            ),
            name,
        )
    yield b"P6\n# made by hand\n2 2\n65535\n" + bytes(24), "colour.ppm"
    yield b"P6 2 2 1023 " + bytes(24), "ten_bits.ppm"


@pytest.mark.parametrize(
    "file", [pytest.param(data, id=name) for data, name in sixteen_bit_files()]
)
def test_more_than_eight_bits_per_channel_are_refused(file):
    with helpers.usage_error("more than 8 bits per channel", "convert it"):
        decoding.decode(file, "image")


def test_eight_bits_in_a_ppm_file_are_read():
    image = decoding.decode(b"P6\n# 2 by 1\n2 1\n255\n\1\2\3\4\5\6", "image.ppm")
    np.testing.assert_array_equal(image, [[[1, 2, 3], [4, 5, 6]]])


def test_padding_leaves_something_of_the_narrowest_image():
    for shape in ((1, 3000, 3), (3000, 1, 3)):
        padded = decoding.resized(np.full(shape, 200, np.uint8), 32, "pad")
        assert (padded == 200).any(axis=2).sum() == 32
