"""What training rows say about pictures: mean and spread of the colours, and how bright and contrasty they are."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from models.columns.kind import Statistics

PROFILE_QUANTILES = 21
BLOCK = 256
"""Pictures that are floating-point numbers at a time."""
SMALLEST_SPREAD = 1.0


class ImageStatistics(Statistics):
    """Colour statistics in shades from 0 to 255, and the profile that drift is judged against."""

    height: int
    width: int
    mean: tuple[float, float, float]
    """Of all pixels: red, green, blue."""
    scale: tuple[float, float, float]
    """Standard deviation of all pixels, at least 1."""
    brightness: tuple[float, ...]
    """Evenly spaced quantiles of the pictures' mean shade; empty when all pictures are missing."""
    contrast: tuple[float, ...]
    """Evenly spaced quantiles of the standard deviation of grey within a picture; empty likewise."""


def fit_image(pieces: Iterable[NDArray[np.uint8]], height: int, width: int) -> ImageStatistics:
    """Statistics of pictures in pieces [M, height, width, 3], each looked at once; black pictures are missing."""
    rows, described = 0, []
    for piece in pieces:
        known = piece.reshape(len(piece), height * width * 3).any(1)
        rows += len(piece)
        if known.any():
            described.append(describe_pictures(piece if known.all() else piece[known]))
    size = {"count": rows, "height": height, "width": width}
    if not described:
        grey = (127.5, 127.5, 127.5)
        return ImageStatistics(**size, missing=rows, mean=grey, scale=grey, brightness=(), contrast=())
    means, squares, contrast = (np.concatenate(parts) for parts in zip(*described, strict=True))
    mean = means.mean(0)
    scale = np.sqrt(np.maximum(squares.mean(0) - mean**2, SMALLEST_SPREAD**2))
    return ImageStatistics(
        **size,
        missing=rows - len(means),
        mean=tuple(mean.tolist()),
        scale=tuple(scale.tolist()),
        brightness=_quantiles(means.mean(1)),
        contrast=_quantiles(contrast),
    )


def describe_pictures(
    pixels: NDArray[np.uint8],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Each picture's mean shade [M, 3], mean squared shade [M, 3], and contrast [M], of pixels [M, H, W, 3].

    Contrast is the standard deviation of grey, the mean of the three colours, over the picture.
    """
    blocks = [_describe_block(pixels[start : start + BLOCK]) for start in range(0, len(pixels), BLOCK)]
    means, squares, contrast = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return means, squares, contrast


def _describe_block(
    pixels: NDArray[np.uint8],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    shades = pixels.astype(np.float32)
    means = shades.mean((1, 2), dtype=np.float64)
    squares = np.square(shades).mean((1, 2), dtype=np.float64)
    return means, squares, shades.mean(3).std((1, 2), dtype=np.float64)


def _quantiles(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(np.quantile(values, np.linspace(0, 1, PROFILE_QUANTILES)).tolist())
