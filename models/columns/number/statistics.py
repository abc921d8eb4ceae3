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
    return NumberStatistics(
        count=len(values),
        missing=missing,
        median=float(np.median(known)),
        scale=_spread(known),
        edges=tuple(_edges(known, bins).tolist()),
        quantiles=tuple(np.quantile(known, np.linspace(0, 1, PROFILE_QUANTILES)).tolist()),
    )


def _edges(known: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """All distinct values if they are few, else quantiles in which a value counts by the root of its occurrences.

    A value that fills most rows (no gain, no rain) would else take all plain quantiles, and leave the other values,
    which carry the information, a bin or two.
    """
    distinct, counts = np.unique(known, return_counts=True)
    if len(distinct) == 1:
        margin = max(0.5, abs(float(distinct[0])) * 1e-6)
        return np.array([distinct[0] - margin, distinct[0] + margin])
    if len(distinct) <= bins + 1:
        return distinct
    weight = np.cumsum(np.sqrt(counts))
    reached = np.searchsorted(weight, np.linspace(weight[0], weight[-1], bins + 1))
    return np.unique(distinct[reached.clip(max=len(distinct) - 1)])


def _spread(known: NDArray[np.float64]) -> float:
    """Interquartile range as a standard deviation, or the standard deviation where half of the values are equal."""
    low, high = np.quantile(known, [0.25, 0.75])
    spread = float(high - low) / 1.349
    return spread or float(known.std()) or 1.0
