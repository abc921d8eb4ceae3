"""Files of pictures become pixels, or a reason."""

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from models.columns import filekind
from models.columns.image.decode import decode_picture
from models.columns.image.feed import ImageSettings
from tests.models.columns.pictures import KIND, SMALL, contents, picture, refused, stretched


def decoded(content: bytes, height: int = 8, width: int = 8) -> NDArray[np.uint8]:
    pixels = decode_picture(content, height, width, 10**6)
    assert not isinstance(pixels, str), pixels
    return pixels


def huge_png(width: int, height: int) -> bytes:
    """A few bytes that say they are a picture of that size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("form", "options"), [
    ("PNG", {}), ("PPM", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}),
    ("WEBP", {"lossless": True}),
])  # fmt: skip
def test_lossless_formats_give_the_pixels_that_pillow_gives(form: str, options: dict[str, Any]) -> None:
    assert np.array_equal(decoded(contents(picture(), form, **options)), stretched(picture()))


@pytest.mark.parametrize("side", [30, 300])
def test_a_jpeg_is_close_to_the_picture_even_where_it_is_decoded_at_a_fraction(side: int) -> None:
    content = contents(picture(side, side), "JPEG", quality=95)
    assert np.abs(decoded(content).astype(int) - stretched(picture(side, side))).mean() < 4


def test_the_whole_picture_is_stretched_to_height_and_width() -> None:
    halves = np.zeros((10, 40, 3), np.uint8)
    halves[:, 20:] = 200
    pixels = decoded(contents(Image.fromarray(halves)), 16, 8)
    assert pixels.shape == (16, 8, 3)
    assert (pixels[:, :3] == 0).all() and (pixels[:, 5:] == 200).all()


def test_grey_palette_and_one_bit_pictures_become_rgb() -> None:
    grey = picture().convert("L")
    assert np.array_equal(decoded(contents(grey)), stretched(grey))
    palette = picture().quantize(16)
    assert np.array_equal(decoded(contents(palette)), stretched(palette))
    checks = Image.fromarray(np.eye(8, dtype=bool))
    assert np.array_equal(decoded(contents(checks))[..., 0], np.eye(8) * 255)


def test_sixteen_bits_keep_their_upper_eight() -> None:
    shades = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1024
    expected = np.repeat((shades // 256).astype(np.uint8)[..., None], 3, axis=2)
    assert np.array_equal(decoded(contents(Image.fromarray(shades))), expected)
    assert np.array_equal(decoded(b"P5 8 8 65535\n" + shades.astype(">u2").tobytes()), expected)


def packed_tiff(shades: NDArray[np.uint16]) -> bytes:
    """A grey TIFF whose shades take 12 bits each."""
    height, width = shades.shape
    first, second = shades.ravel()[::2].astype(int), shades.ravel()[1::2].astype(int)
    strip = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1).astype(np.uint8).tobytes()
    tags = {256: width, 257: height, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: len(strip)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_twelve_bits_of_a_sensor_are_as_bright_as_eight() -> None:
    shades = np.arange(64, dtype=np.uint16).reshape(8, 8) * 65
    expected = np.repeat((shades // 16).astype(np.uint8)[..., None], 3, axis=2)
    assert np.array_equal(decoded(contents(Image.fromarray(shades), "TIFF")), expected)
    assert np.array_equal(decoded(contents(Image.fromarray(shades), "TIFF", compression="tiff_lzw")), expected)
    assert np.array_equal(decoded(packed_tiff(shades)), expected)


def test_sixteen_bits_of_a_tiff_and_what_is_scaled_by_its_format_stay_so() -> None:
    shades = np.arange(64, dtype=np.uint16).reshape(8, 8) * 65 + 1
    assert decoded(contents(Image.fromarray(shades), "TIFF")).max() == 16
    assert decoded(contents(Image.fromarray(shades - 1))).max() == 15


def test_transparent_parts_are_white() -> None:
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:4] = (200, 0, 0, 255)
    rgba[4:] = (0, 50, 0, 0)
    pixels = decoded(contents(Image.fromarray(rgba)))
    assert (pixels[:4] == (200, 0, 0)).all() and (pixels[4:] == 255).all()
    grey = Image.fromarray(np.array([[100, 0], [100, 255]], np.uint8).repeat(4, 0).repeat(4, 1))
    assert (decoded(contents(grey, transparency=100))[:, :3] == 255).all()


def test_cmyk_is_converted() -> None:
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    assert np.abs(decoded(contents(cyan, "JPEG", quality=100)).astype(int) - (0, 255, 255)).max() <= 4


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_upright_however_the_camera_was_held(form: str, orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    content = contents(picture(16, 32), form, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    assert np.abs(decoded(content, 12, 8).astype(int) - stretched(upright, 12, 8)).mean() < 2


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "empty file"),
    (b"path,label\na.png,1\n", "not a picture"),
    (b"RIFF\x24\0\0\0WAVEfmt ", "not a picture"),
    (contents(picture(), "GIF"), "not a picture"),
    (contents(picture())[:-60], "damaged picture"),
    (contents(picture())[:20], "damaged picture"),
    (contents(picture(90, 90), "JPEG")[:500], "damaged picture"),
    (contents(picture(), "WEBP")[:60], "damaged picture"),
    (contents(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"), "unknown range of shades"),
    (huge_png(30_000, 30_000), "too large"),
    (huge_png(1001, 1000), "too large"),
    (huge_png(1000, 1000), "damaged picture"),
])  # fmt: skip
def test_what_is_no_picture_is_refused_in_plain_words(content: bytes, reason: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert decode_picture(content, 8, 8, 10**6) == reason


def test_a_picture_of_one_pixel_is_fine() -> None:
    assert (decoded(contents(Image.new("RGB", (1, 1), (9, 8, 7)))) == (9, 8, 7)).all()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 5), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6), st.integers(0, 400)
)
def test_a_spoilt_file_is_pixels_or_a_reason(form: int, changes: list[tuple[int, int]], cut: int) -> None:
    spoilt = bytearray(contents(picture(), ("PNG", "JPEG", "PPM", "BMP", "WEBP", "TIFF")[form]))
    for place, value in changes:
        spoilt[place % len(spoilt)] = value
    parsed = KIND.parse(pa.array([bytes(spoilt), bytes(spoilt[: len(spoilt) - cut])]), SMALL, ())
    pixels = KIND.to_input(parsed.values, SMALL)
    assert pixels.shape == (2, *KIND.shape(SMALL))
    assert not any(pixels[refusal.rows].any() for refusal in parsed.refusals)


def test_the_number_of_workers_changes_nothing_and_no_warning_gets_out(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [contents(picture(seed=seed), "JPEG") for seed in range(20)] + [b"", huge_png(10_000, 10_000), None]
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for workers in (1, 5):
            monkeypatch.setattr(filekind, "usable_cores", lambda workers=workers: workers)
            found.append(KIND.parse(pa.array(files), ImageSettings(size=8, max_pixels=10**6), ()))
    one, several = found
    assert one.values.equals(several.values)
    assert refused(one) == refused(several) == {"empty file": [20], "too large": [21]}
