"""How many rows one thread scores at once, chosen by a short measurement on rows of the input."""

import time
from collections.abc import Mapping

import pyarrow as pa

from tasks.scoring.predictor import Predictor

CANDIDATES = (1024, 512, 2048, 4096, 8192)
"""The usual size first; another one has to be faster by more than chance."""
WORTH = 1.1
ROUNDS, SECONDS = 3, 0.3
"""What ends the measurement, whichever comes first."""


def choose(predictor: Predictor, columns: Mapping[str, pa.Array]) -> int:
    """The rows of a batch with which parsed `columns` are scored fastest, the best of `ROUNDS` within `SECONDS`.

    What is chosen depends on the machine and the moment, so it belongs into the ledger: predictions may differ in their
    last bits between sizes.
    """
    held = len(next(iter(columns.values())))
    fitting = [size for size in CANDIDATES if size * predictor.threads <= held] or [predictor.batch_rows]
    predictor.predict(_first(columns, max(fitting)))
    deadline = time.perf_counter() + SECONDS
    found: dict[int, float] = {}
    for size in fitting * ROUNDS:
        found[size] = min(found.get(size, float("inf")), _seconds_a_row(predictor, columns, size))
        if time.perf_counter() > deadline:
            break
    best = min(found, key=lambda size: found[size])
    return best if found[best] * WORTH < found[fitting[0]] else fitting[0]


def _seconds_a_row(predictor: Predictor, columns: Mapping[str, pa.Array], size: int) -> float:
    """Of one batch a thread."""
    usual, rows = predictor.batch_rows, size * predictor.threads
    part = _first(columns, rows)
    predictor.batch_rows = size
    try:
        started = time.perf_counter()
        predictor.predict(part)
        return (time.perf_counter() - started) / rows
    finally:
        predictor.batch_rows = usual


def _first(columns: Mapping[str, pa.Array], rows: int) -> dict[str, pa.Array]:
    return {name: values[:rows] for name, values in columns.items()}
