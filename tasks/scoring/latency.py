"""How long one row takes."""

import time

import numpy as np
import pyarrow as pa

from models.columns.cells import as_array
from tasks.scoring.predictor import Predictor

CALLS = 300
WARM_UP = 20
MOST_ROWS, MOST_BYTES = CALLS + WARM_UP, 1 << 26
"""More rows make no difference, and larger ones only cost memory: those that there are take turns."""


def latency_p99_ms(predictor: Predictor, rows: pa.Table) -> float:
    """99th percentile of the milliseconds that one row takes from parsed columns to its prediction."""
    names = [column.name for column in predictor.contract.columns]
    singles = [
        {name: as_array(rows.column(name).slice(i % len(rows), 1)) for name in names} for i in range(CALLS + WARM_UP)
    ]
    seconds = []
    for single in singles:
        started = time.perf_counter()
        predictor.predict(single)
        seconds.append(time.perf_counter() - started)
    return float(np.quantile(seconds[WARM_UP:], 0.99) * 1000)
