"""Bootstrap intervals of metrics, and of the difference between two models on the same rows (Efron 1979)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.evaluation.calibration_interval import calibration_interval
from tasks.evaluation.metrics import improvement, metric
from tasks.evaluation.resampled import prepare
from tasks.evaluation.scored import Floats, Indices, Scored

LEVEL = 0.95
MOST_ROWS_RESAMPLED = 100_000
"""More rows are sampled once, which makes intervals wider than need be, never narrower."""
FEWEST_GROUPS = 10
"""With fewer groups than that, rows are resampled singly: a handful of groups says nothing about their spread."""
_CELLS = 1 << 17
"""Weights held at once: 1 MiB of float64, which stays in the processor's cache."""


@dataclass(frozen=True)
class Interval:
    """A 95 % interval of a difference, oriented so that positive is better; NaN when the rows can't define it."""

    low: float
    high: float
    difference: float


@dataclass(frozen=True)
class Resampling:
    """How rows are resampled; those of one group are drawn together (cluster bootstrap, Field and Welsh 2007)."""

    count: int
    """Resamples."""
    seed: int
    groups: Indices | None = None
    """[N] codes of the groups; None where each row stands for itself."""

    def of(self, rows: NDArray[Any]) -> "Resampling":
        """The same for the rows of a mask [N] or of row numbers."""
        return self if self.groups is None else replace(self, groups=self.groups[rows])

    def draw(self, rows: int) -> Iterator[Floats]:
        """How often each row occurs in each resample, [rows, r] in pieces whose r sum to `count`."""
        if self.groups is None:
            yield from draw_counts(rows, self.count, self.seed)
            return
        found, codes = np.unique(self.groups, return_inverse=True)
        if len(found) < FEWEST_GROUPS:
            yield from draw_counts(rows, self.count, self.seed)
            return
        for counts in draw_counts(len(found), self.count, self.seed, cells_of=rows):
            yield counts[codes]


def intervals(scored: Scored, names: Sequence[str], resampling: Resampling) -> dict[str, tuple[float, float]]:
    """Low and high end of each metric's 95 % interval; metrics that the rows can't define are left out.

    Percentiles, but for the calibration error, see `calibration_interval`. The ends are widened to hold the value on
    the rows as they are.
    """
    if not len(scored):
        return {}
    order = _order(scored, resampling.seed)
    ordered = scored.take(order)
    evaluate = prepare(ordered, names)
    drawn = [evaluate(_weigh(counts, ordered)) for counts in resampling.of(order).draw(len(ordered))]
    values = prepare(scored, names)(scored.weights[:, None])
    found = {name: _percentiles(np.concatenate([piece[name] for piece in drawn])) for name in names}
    if not np.isnan(found.get("calibration_error", np.nan)).any():
        found["calibration_error"] = calibration_interval(
            ordered, *found["calibration_error"], resampling.count, resampling.seed
        )
    return {
        name: (min(low, float(values[name][0])), max(high, float(values[name][0])))
        for name, (low, high) in found.items()
        if not np.isnan([low, values[name][0]]).any()
    }


def paired_difference(name: str, challenger: Scored, champion: Scored, resampling: Resampling) -> Interval:
    """The 95 % interval of the challenger's lead in one metric, both on the same resampled rows.

    Row i of both is the same row of data. `difference` is measured on the rows as they are.
    """
    if not len(challenger):
        return Interval(np.nan, np.nan, np.nan)
    chosen = _sampled_rows(len(challenger), resampling.seed)
    first_side, second_side = challenger.take(chosen), champion.take(chosen)
    both = [prepare(scored, [name]) for scored in (first_side, second_side)]
    leads = []
    for counts in resampling.of(chosen).draw(len(first_side)):
        first, second = (
            part(_weigh(counts, scored))[name] for part, scored in zip(both, (first_side, second_side), strict=True)
        )
        leads.append(second - first if improvement(name, 0.0, 1.0) > 0 else first - second)
    low, high = _percentiles(np.concatenate(leads))
    return Interval(low, high, improvement(name, metric(name)(challenger), metric(name)(champion)))


def rows_resampled(rows: int) -> int:
    """How many of so many rows are resampled from."""
    return min(rows, MOST_ROWS_RESAMPLED)


def _sampled_rows(rows: int, seed: int) -> Indices:
    """Numbers of the rows to resample from: all, or a random choice where they are too many."""
    if rows_resampled(rows) == rows:
        return np.arange(rows)
    return np.random.default_rng(seed).choice(rows, rows_resampled(rows), replace=False)


def _order(scored: Scored, seed: int) -> Indices:
    """The rows to resample from; binary ones by falling score, so that no resample has to be sorted."""
    chosen = _sampled_rows(len(scored), seed)
    if scored.task != "binary":
        return chosen
    return chosen[np.argsort(-scored.probabilities[chosen, 1], kind="stable")]


def draw_counts(units: int, resamples: int, seed: int, cells_of: int | None = None) -> Iterator[Floats]:
    """How often each unit occurs in each resample, [units, r] in pieces whose r sum to `resamples`.

    `cells_of` is the number of rows that the units stand for, by which the pieces are sized.
    """
    generator = np.random.default_rng(seed)
    piece = max(1, _CELLS // (cells_of or units))
    for start in range(0, resamples, piece):
        count = min(piece, resamples - start)
        counts = np.empty((units, count))
        for column in range(count):
            drawn = generator.integers(0, units, size=units, dtype=np.int32 if units < 1 << 31 else np.int64)
            counts[:, column] = np.bincount(drawn, minlength=units)
        yield counts


def _weigh(counts: Floats, scored: Scored) -> Floats:
    return counts if scored.weight is None else counts * scored.weight[:, None]


def _percentiles(values: Floats) -> tuple[float, float]:
    """Ends of the interval over the resamples that define the metric; NaN if fewer than half do."""
    defined = values[~np.isnan(values)]
    if 2 * len(defined) < len(values):
        return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
