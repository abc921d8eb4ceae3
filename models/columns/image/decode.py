"""The contents of picture files as pixels of one size, or a reason why not."""

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP", "PPM", "BMP", "TIFF")
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*")
"""How pictures begin that can't be taken for a text or another file."""
ORIENTATION = 0x0112
"""The EXIF tag that says how the camera was held."""
UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""How to turn a picture of each orientation."""
SENSOR_BITS = 12
"""Of most cameras of microscopes, machines and X-rays, whose files say 16."""

Pixels = NDArray[np.uint8]


class _UnusableError(Exception):
    """The picture can be read, but not be used; the message says why."""


def decode_picture(content: bytes, height: int, width: int, max_pixels: int) -> Pixels | str:
    """Pixels [height, width, 3] in red, green and blue, or the reason why the content can't be used.

    The whole picture is stretched to the size, as models of pictures usually see them: nothing is cut off, and no
    empty border takes the place of detail. Transparent parts are white, as on a page. Of several pictures in a file
    the first counts. JPEG files much larger than wanted are decoded at a fraction of their size. A grey TIFF of 16 bits
    of which no shade needs more than 12 comes from a sensor of 12, and is as bright as one of 8.
    """
    if not content:
        return "empty file"
    try:
        image = _open(content, max_pixels)
        if image is None:
            return "damaged picture" if _begins_as_picture(content) else "not a picture"
        image.draft(None, (max(height, width), max(height, width)))
        return _fit(image, height, width)
    except _UnusableError as refused:
        return str(refused)
    except Exception:  # Decoders raise errors of all kinds for broken files.
        return "damaged picture"


def _open(content: bytes, max_pixels: int) -> "Image | None":
    """The picture, its header alone read; None where no format fits."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        return None
    except Image.DecompressionBombError:
        raise _UnusableError("too large") from None
    if image.width * image.height > max_pixels:
        raise _UnusableError("too large")
    return image


def _begins_as_picture(content: bytes) -> bool:
    return content.startswith(SIGNATURES) or (content[:4] == b"RIFF" and content[8:12] == b"WEBP")


def _fit(image: "Image", height: int, width: int) -> Pixels:
    """The picture upright, stretched to the size, in RGB."""
    from PIL.Image import Resampling, Transpose

    image.load()
    turn = image.getexif().get(ORIENTATION, 1)
    size = (height, width) if turn in (5, 6, 7, 8) else (width, height)
    resized = _without_alpha(image).resize(size, Resampling.BILINEAR, reducing_gap=2.0)
    if turn in UPRIGHT:
        resized = resized.transpose(Transpose[UPRIGHT[turn]])
    return np.asarray(resized.convert("RGB"))


def _without_alpha(image: "Image") -> "Image":
    """The picture in grey or RGB of 8 bits, on white where it is transparent."""
    from PIL import Image

    if image.has_transparency_data and not image.mode.startswith("I"):
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    if image.mode in ("L", "RGB"):
        return image
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PPM", "PNG")):
        shades = np.asarray(image)
        return Image.fromarray((shades >> (_bits(image, shades) - 8)).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise _UnusableError("unknown range of shades")
    return image.convert("RGB")


def _bits(image: "Image", shades: NDArray[np.uint16]) -> int:
    """Bits of the brightest possible shade: files of PNG and PPM are scaled to 16, those of TIFF are as measured."""
    return SENSOR_BITS if image.format == "TIFF" and int(shades.max()) < 1 << SENSOR_BITS else 16
