"""Small curves beside a value, drawn by hand: a matplotlib figure for each would make the page large and slow."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 240, 56
MARGIN = 3.0


def curve_svg(curve: NDArray[np.float32]) -> str:
    """A curve [T, 2] of lowest and highest values as inline SVG in the colour `--model`, broken where it is NaN."""
    paths = "".join(f'<path d="{path}"/>' for path in _paths(curve.astype(np.float64)))
    return f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" preserveAspectRatio="none">{paths}</svg>'


def _paths(curve: NDArray[np.float64]) -> Iterator[str]:
    """One closed outline for each piece without gaps: along the highest values, back along the lowest."""
    known = ~np.isnan(curve).any(axis=1)
    if not known.any():
        return
    low, high = curve[known].min(), curve[known].max()
    span = high - low
    across = MARGIN + (WIDTH - 2 * MARGIN) * (np.arange(len(curve)) + 0.5) / len(curve)
    share = (curve - low) / span if span else np.full_like(curve, 0.5)
    down = MARGIN + (HEIGHT - 2 * MARGIN) * (1 - share)
    for piece in np.split(np.flatnonzero(known), np.flatnonzero(np.diff(np.flatnonzero(known)) > 1) + 1):
        outline = [*_points(across[piece], down[piece, 1]), *_points(across[piece], down[piece, 0])[::-1]]
        yield "M" + "L".join(outline) + "Z"


def _points(across: NDArray[np.float64], down: NDArray[np.float64]) -> list[str]:
    return [f"{x:.1f} {y:.1f}" for x, y in zip(across, down, strict=True)]
