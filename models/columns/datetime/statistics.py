"""What training rows say about a date: the span they cover."""

import numpy as np
from numpy.typing import NDArray

from models.columns.kind import Statistics


class DatetimeStatistics(Statistics):
    """Span of the training rows, in seconds since 1970 on the local wall clock."""

    first: float
    last: float


def fit_datetime(seconds: NDArray[np.float64]) -> DatetimeStatistics:
    """First and last stamp, [N] with NaN for missing. A column without values spans 1970 alone."""
    known = seconds[~np.isnan(seconds)]
    first, last = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    return DatetimeStatistics(count=len(seconds), missing=len(seconds) - len(known), first=first, last=last)
