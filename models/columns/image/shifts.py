"""Changes of light and sharpness that a model of pictures should bear, and small views of pictures for people."""

from collections.abc import Callable, Mapping
from io import BytesIO
from types import MappingProxyType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.columns.cells import as_array, as_fixed, valid
from models.columns.image.feed import ImageKind, ImageSettings
from models.columns.kind import Shift

BLOCK = 1 << 22
"""Shades that are floating-point numbers at a time."""
LESS_LIGHT, MORE_LIGHT = 0.6, 1.4
BLUR = 0.02
"""Standard deviation of the blur as a share of the shorter side; at least .6 pixels."""
NOISE = 10.0
"""Standard deviation of the noise, of 255 shades."""

Shades = NDArray[np.float32]


def darken(values: pa.Array, settings: ImageSettings, generator: np.random.Generator) -> pa.Array:
    """The parsed pictures in 60 % of the light."""
    return _change(values, settings, lambda shades: shades * LESS_LIGHT)


def brighten(values: pa.Array, settings: ImageSettings, generator: np.random.Generator) -> pa.Array:
    """The parsed pictures in 140 % of the light."""
    return _change(values, settings, lambda shades: shades * MORE_LIGHT)


def blur(values: pa.Array, settings: ImageSettings, generator: np.random.Generator) -> pa.Array:
    """The parsed pictures slightly out of focus: a Gaussian blur, by 1.3 pixels where pictures are 64 high."""
    from scipy.ndimage import gaussian_filter

    sigma = max(0.6, BLUR * min(settings.height, settings.width))
    return _change(values, settings, lambda shades: gaussian_filter(shades, (0, sigma, sigma, 0), mode="nearest"))


def add_noise(values: pa.Array, settings: ImageSettings, generator: np.random.Generator) -> pa.Array:
    """The parsed pictures with Gaussian noise of 4 % of the range, drawn for each pixel and colour."""
    return _change(
        values, settings, lambda shades: shades + NOISE * generator.standard_normal(shades.shape, dtype=np.float32)
    )


SHIFTS: Mapping[str, Shift] = MappingProxyType(
    {
        "darker": Shift("pictures in 60 % of the light", darken),
        "brighter": Shift("pictures in 140 % of the light", brighten),
        "blur": Shift("pictures slightly out of focus", blur),
        "noise": Shift("pictures with grain, as from a camera in the dark", add_noise),
    }
)


def _change(values: pa.Array, settings: ImageSettings, change: Callable[[Shades], Shades]) -> pa.Array:
    """The pictures changed, block by block, nulls as they were."""
    values = as_array(values)
    pixels = ImageKind().to_input(values, settings)
    changed = np.empty_like(pixels)
    at_once = max(1, BLOCK // int(np.prod(pixels.shape[1:])))
    for start in range(0, len(pixels), at_once):
        shades = change(pixels[start : start + at_once].astype(np.float32))
        changed[start : start + at_once] = np.rint(shades).clip(0, 255)
    return as_fixed(changed, valid(values))


def thumbnail(values: pa.Array, settings: ImageSettings, row: int, longest: int | None = None) -> bytes:
    """A parsed picture as a PNG file of its size, or of `longest` pixels a side; black where it is missing."""
    from PIL import Image

    pixels = ImageKind().to_input(as_array(values).slice(row, 1), settings)[0]
    picture = Image.fromarray(pixels)
    if longest is not None and max(picture.size) > longest:
        picture.thumbnail((longest, longest))
    file = BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
