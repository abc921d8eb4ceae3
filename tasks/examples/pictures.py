"""What rendered pictures are made of: draws, colours, soft noise, blending, and files.

Planes and colours are float32, which halves the time that large pictures take.
"""

import colorsys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

Plane = NDArray[np.floating[Any]]
"""One number a pixel, [side, side]."""
Pixels = NDArray[np.floating[Any]]
"""Red, green and blue of each pixel in 0 to 1, [3, side, side]: whole planes are faster to work on than triples."""
Colour = NDArray[np.floating[Any]]
"""Red, green and blue in 0 to 1, [3]."""
Span = tuple[float, float]
"""The least and the most that may be drawn."""

JPEG_QUALITY = 92


def between(rng: np.random.Generator, span: Span) -> float:
    """A uniform draw from the span."""
    return float(rng.uniform(*span))


def either_way(rng: np.random.Generator, span: Span) -> float:
    """A uniform draw from the span, negative by half."""
    return between(rng, span) * (1.0 if rng.random() < 0.5 else -1.0)


def colour(hue: float, saturation: float, value: float) -> Colour:
    """The colour of a hue in degrees, of which 0 and 360 are red; saturation and value in 0 to 1."""
    return np.array(colorsys.hsv_to_rgb(hue % 360 / 360, saturation, value), np.float32)


def soft_noise(rng: np.random.Generator, side: int, cells: int) -> Plane:
    """Smooth noise in about -1 to 1, [side, side], with `cells` hills and hollows along a side."""
    coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def blend(below: Pixels, above: Colour | Pixels, share: Plane) -> Pixels:
    """The pixels below, with what lies above covering the given share of each."""
    return below + (as_planes(above) - below) * share


def as_planes(above: Colour | Pixels) -> Pixels:
    """A colour as a picture of one pixel, [3, 1, 1], which covers any other; a picture as it is."""
    return above.reshape(3, 1, 1) if above.ndim == 1 else above


def halved(pixels: Pixels) -> Pixels:
    """A picture of half the side, [3, side / 2, side / 2]: each pixel is the mean of four."""
    rows = pixels[:, ::2] + pixels[:, 1::2]
    return (rows[:, :, ::2] + rows[:, :, 1::2]) / 4


def save_picture(pixels: Pixels, path: Path) -> None:
    """The picture as a JPEG file that keeps the full resolution of its colours."""
    shades = (pixels.clip(0, 1) * 255).round().astype(np.uint8)
    Image.fromarray(np.ascontiguousarray(shades.transpose(1, 2, 0))).save(
        path, "JPEG", quality=JPEG_QUALITY, subsampling=0
    )


def save_manifest(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """The table that names each picture's file and what is known of it, as CSV."""
    pd.DataFrame(rows).to_csv(path, index=False, lineterminator="\n")
