"""What training rows say about a number: centre, spread, and quantile edges for its embedding."""

import numpy as np
from numpy.typing import NDArray

from models.columns.kind import Statistics

BINS = 48
PROFILE_QUANTILES = 21


class NumberStatistics(Statistics):
    """Robust location and scale, embedding edges, and the profile that drift is judged against."""

    median: float
    scale: float
    edges: tuple[float, ...]
    """Strictly increasing bin edges of the piecewise-linear embedding; at least two."""
    quantiles: tuple[float, ...]
    """Evenly spaced quantiles from the minimum to the maximum; empty when all values are missing."""


def fit_number(values: NDArray[np.float32], bins: int = BINS) -> NumberStatistics:
    """Statistics of one column, [N] with NaN for missing. A column without values gets median 0 and scale 1."""
    known = values[~np.isnan(values)].astype(np.float64)
    missing = len(values) - len(known)
    if not len(known):
        return NumberStatistics(count=len(values), missing=missing, median=0, scale=1, edges=(0, 1), quantiles=())
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)))
    if len(edges) < 2:
        edges = np.array([edges[0] - 0.5, edges[0] + 0.5])
    return NumberStatistics(
        count=len(values),
        missing=missing,
        median=float(np.median(known)),
        scale=_spread(known),
        edges=tuple(edges.tolist()),
        quantiles=tuple(np.quantile(known, np.linspace(0, 1, PROFILE_QUANTILES)).tolist()),
    )


def _spread(known: NDArray[np.float64]) -> float:
    """Interquartile range as a standard deviation, or the standard deviation where half of the values are equal."""
    low, high = np.quantile(known, [0.25, 0.75])
    spread = float(high - low) / 1.349
    return spread or float(known.std()) or 1.0
