"""What training windows say about a channel: the distributions of the numbers that a window comes to."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from models.columns.kind import Statistics
from models.columns.number.statistics import NumberStatistics, fit_number

FEATURES = ("last", "mean", "spread", "trend", "lowest", "highest", "roughness")
"""What `window_features` gives, in this order."""
LEVELS = frozenset({"last", "mean", "lowest", "highest"})
"""Those that move with the values."""
BINS = 24
MINUTE = 1e-4
"""Share of a channel's spread that makes no difference between windows."""
MOST_WINDOWS = 200_000
"""Windows whose features are kept for quantiles; of more, every second, fourth, eighth..."""


class SeriesStatistics(Statistics):
    """Location and scale of the last values of windows, and statistics of each feature of `FEATURES`."""

    window: int
    median: float
    scale: float
    features: tuple[NumberStatistics, ...]


def fit_series(chunks: Iterable[NDArray[np.float32]], window: int) -> SeriesStatistics:
    """Statistics of windows [N, window], given in pieces."""
    count = missing = 0
    kept, step = np.empty((0, len(FEATURES)), np.float32), 1
    for windows in chunks:
        missing += int(np.isnan(windows).all(axis=1).sum())
        kept = np.concatenate([kept, window_features(windows[-count % step :: step])])
        count += len(windows)
        while len(kept) > MOST_WINDOWS:
            kept, step = kept[::2], 2 * step
    features = tuple(fit_number(column, BINS) for column in _without_noise(kept).T)
    last = features[FEATURES.index("last")]
    return SeriesStatistics(
        count=count, missing=missing, window=window, median=last.median, scale=last.scale, features=features
    )


def _without_noise(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """The features [N, 7], where one that hardly differs beside the spread of the values does not differ at all.

    A series that was standardised has a mean of 0 and a spread of 1, but for rounding, which says nothing.
    """
    known = features[~np.isnan(features).any(axis=1)]
    if not len(known):
        return features
    values = max(known[:, FEATURES.index("last")].std(), known[:, FEATURES.index("spread")].max())
    alike = np.ptp(known, axis=0) < MINUTE * values
    return np.where(alike & ~np.isnan(features), np.median(known, axis=0), features)


def window_features(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The `FEATURES` of windows [N, window] of one channel, float32 [N, 7]; NaN where nothing was measured.

    Values that were not measured count as the mean of those that were. The trend is the least-squares slope times the
    window's length; the roughness is the root mean square of the steps from row to row.
    """
    windows = windows.astype(np.float64)
    given = ~np.isnan(windows)
    count = given.sum(axis=1, keepdims=True)
    mean = np.where(given, windows, 0).sum(axis=1, keepdims=True) / np.maximum(count, 1)
    centred = np.where(given, windows - mean, 0)
    slope = centred @ trend_weights(windows.shape[1])
    steps = np.diff(centred, axis=1)
    parts = (
        mean[:, 0] + centred[:, -1],
        mean[:, 0],
        np.sqrt((centred**2).sum(axis=1) / np.maximum(count[:, 0], 1)),
        slope,
        mean[:, 0] + centred.min(axis=1),
        mean[:, 0] + centred.max(axis=1),
        np.sqrt((steps**2).mean(axis=1)),
    )
    found = np.stack(parts, axis=1).astype(np.float32)
    return np.where(count > 0, found, np.float32(np.nan))


def trend_weights(window: int) -> NDArray[np.float64]:
    """Weights [window] whose product with centred values is the rise of their least-squares line over the window."""
    place = np.arange(window, dtype=np.float64) - (window - 1) / 2
    return np.asarray(place / (place**2).sum() * (window - 1))
