"""How many rows one thread scores at once, chosen by a short measurement on rows of the input."""

import time
from collections.abc import Mapping, Sequence

import pyarrow as pa

from tasks.scoring.predictor import Predictor

CANDIDATES = (1024, 512, 2048, 4096, 8192)
"""The usual size first; another one has to be faster by more than chance."""
WORTH = 1.1
ROUNDS, SECONDS = 3, 0.3
"""What ends the measurement, whichever comes first."""


def choose(
    predictor: Predictor, columns: Mapping[str, pa.Array], batch_rows: int | None = None, threads: int | None = None
) -> tuple[int, int]:
    """The rows of a batch with which parsed `columns` are scored fastest, and the threads, where they are not given.

    The best of `ROUNDS` within `SECONDS`; threads are those of the predictor, one for each core: fewer were chosen by
    chance too often. What is chosen depends on the machine and the moment, so it belongs into the ledger: predictions
    may differ in their last bits between sizes.
    """
    held, most = len(next(iter(columns.values()))), threads or predictor.threads
    sizes = [size for size in CANDIDATES if size * most <= held] or [predictor.batch_rows]
    if batch_rows and threads:
        return batch_rows, threads
    # The first call of a session takes longer.
    predictor.predict(_first(columns, most * sizes[0]))
    return _fastest(predictor, columns, [(batch_rows or size, most) for size in sizes])


def _fastest(
    predictor: Predictor, columns: Mapping[str, pa.Array], settings: Sequence[tuple[int, int]]
) -> tuple[int, int]:
    """The first of the settings, unless another one is faster by more than chance."""
    ways = list(dict.fromkeys(settings))
    if len(ways) == 1:
        return ways[0]
    deadline = time.perf_counter() + SECONDS
    found: dict[tuple[int, int], float] = {}
    for way in ways * ROUNDS:
        found[way] = min(found.get(way, float("inf")), _seconds_a_row(predictor, columns, *way))
        if time.perf_counter() > deadline:
            break
    best = min(found, key=lambda way: found[way])
    return best if found[best] * WORTH < found[ways[0]] else ways[0]


def _seconds_a_row(predictor: Predictor, columns: Mapping[str, pa.Array], size: int, threads: int) -> float:
    """Of one batch a thread."""
    usual, rows = (predictor.batch_rows, predictor.threads), size * threads
    part = _first(columns, rows)
    predictor.batch_rows, predictor.threads = size, threads
    try:
        started = time.perf_counter()
        predictor.predict(part)
        return (time.perf_counter() - started) / rows
    finally:
        predictor.batch_rows, predictor.threads = usual


def _first(columns: Mapping[str, pa.Array], rows: int) -> dict[str, pa.Array]:
    return {name: values[:rows] for name, values in columns.items()}
