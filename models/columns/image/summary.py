"""Pictures in few numbers: the shades of coarse blocks, for models that take a table of numbers."""

import numpy as np
from numpy.typing import NDArray

BLOCKS = 8
"""Blocks of a side; no picture is smaller."""


def block_shades(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean grey of each of 8 x 8 blocks, then mean red, green and blue, [N, 67]; NaN for pictures black all over."""
    rows, height, width, _ = pixels.shape
    down, across = (np.linspace(0, side, BLOCKS + 1).astype(np.int64) for side in (height, width))
    sums = np.add.reduceat(pixels, down[:-1], axis=1, dtype=np.uint32)
    sums = np.add.reduceat(sums, across[:-1], axis=2)
    shades = sums / np.outer(np.diff(down), np.diff(across))[..., None]
    colours = sums.sum(axis=(1, 2)) / (height * width)
    found = np.concatenate([shades.mean(axis=3).reshape(rows, BLOCKS * BLOCKS), colours], axis=1).astype(np.float32)
    return np.where(colours.any(axis=1, keepdims=True), found, np.float32(np.nan))
