"""Bootstrap intervals of metrics, and of the difference between two models on the same rows (Efron 1979)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.evaluation.metrics import improvement, metric
from tasks.evaluation.resampled import prepare
from tasks.evaluation.scored import Floats, Scored

LEVEL = 0.95
MOST_ROWS_RESAMPLED = 100_000
"""More rows are sampled once, which makes intervals wider than need be, never narrower."""
_CELLS = 1 << 17
"""Weights held at once: 1 MiB of float64, which stays in the processor's cache."""


@dataclass(frozen=True)
class Interval:
    """A 95 % interval of a difference, oriented so that positive is better; NaN when the rows can't define it."""

    low: float
    high: float
    difference: float


def intervals(scored: Scored, names: Sequence[str], resamples: int, seed: int) -> dict[str, tuple[float, float]]:
    """Low and high end of each metric's 95 % percentile interval; metrics that the rows can't define are left out.

    The ends are widened to hold the value on the rows as they are: resampling makes calibration look worse than it is.
    """
    if not len(scored):
        return {}
    ordered = _by_score(scored)
    evaluate = prepare(ordered, names)
    drawn = [evaluate(_weigh(counts, ordered)) for counts in draw_counts(len(ordered), resamples, seed)]
    values = evaluate(ordered.weights[:, None])
    found = {name: _percentiles(np.concatenate([piece[name] for piece in drawn])) for name in names}
    return {
        name: (min(low, float(values[name][0])), max(high, float(values[name][0])))
        for name, (low, high) in found.items()
        if not np.isnan([low, values[name][0]]).any()
    }


def paired_difference(name: str, challenger: Scored, champion: Scored, resamples: int, seed: int) -> Interval:
    """The 95 % interval of the challenger's lead in one metric, both on the same resampled rows.

    Row i of both is the same row of data. `difference` is measured on the rows as they are.
    """
    if not len(challenger):
        return Interval(np.nan, np.nan, np.nan)
    sampled = sampled_rows(len(challenger), seed)
    first_side, second_side = (side if sampled is None else side.take(sampled) for side in (challenger, champion))
    both = [prepare(scored, [name]) for scored in (first_side, second_side)]
    leads = []
    for counts in draw_counts(len(first_side), resamples, seed):
        first, second = (
            part(_weigh(counts, scored))[name] for part, scored in zip(both, (first_side, second_side), strict=True)
        )
        leads.append(second - first if improvement(name, 0.0, 1.0) > 0 else first - second)
    low, high = _percentiles(np.concatenate(leads))
    return Interval(low, high, improvement(name, metric(name)(challenger), metric(name)(champion)))


def sampled_rows(rows: int, seed: int) -> NDArray[np.int64] | None:
    """Numbers of the rows to resample from, None for all."""
    if rows <= MOST_ROWS_RESAMPLED:
        return None
    return np.random.default_rng(seed).choice(rows, MOST_ROWS_RESAMPLED, replace=False)


def draw_counts(rows: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each row occurs in each resample, [rows, r] in pieces whose r sum to `resamples`."""
    generator = np.random.default_rng(seed)
    piece = max(1, _CELLS // rows)
    for start in range(0, resamples, piece):
        count = min(piece, resamples - start)
        counts = np.empty((rows, count))
        for column in range(count):
            drawn = generator.integers(0, rows, size=rows, dtype=np.int32 if rows < 1 << 31 else np.int64)
            counts[:, column] = np.bincount(drawn, minlength=rows)
        yield counts


def _weigh(counts: Floats, scored: Scored) -> Floats:
    return counts if scored.weight is None else counts * scored.weight[:, None]


def _by_score(scored: Scored) -> Scored:
    """Binary rows in order of their score, so that no resample has to be sorted."""
    if scored.task != "binary":
        return scored
    return scored.take(np.argsort(-scored.probabilities[:, 1], kind="stable"))


def _percentiles(values: Floats) -> tuple[float, float]:
    """Ends of the interval over the resamples that define the metric; NaN if fewer than half do."""
    defined = values[~np.isnan(values)]
    if 2 * len(defined) < len(values):
        return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
