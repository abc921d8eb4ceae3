"""Permutation importance (Breiman 2001): how much worse the model gets when one raw column is shuffled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tasks.evaluation.metrics import improvement, metric
from tasks.evaluation.scored import Indices
from tasks.evaluation.unseen import Predict, Unseen

MOST_ROWS = 3_000
REPEATS = 3
MOST_BYTES = 1 << 27
BUDGET = 40_000
"""Predictions in all, so that wide tables don't take minutes."""


@dataclass(frozen=True)
class Importance:
    """How much of the metric is lost without a column: mean over the repeats, and their standard deviation."""

    column: str
    drop: float
    spread: float


def permutation_importance(
    predict: Predict, test: Unseen, columns: Sequence[str], name: str, seed: int, budget: int = BUDGET
) -> list[Importance]:
    """The drop of the named metric per column, largest first, on `importance_rows` of the rows."""
    if len(columns) == 1:
        # Without its only column a model guesses; that says nothing, and large values would be predicted for it.
        return []
    generator = np.random.default_rng(seed)
    sample = test.sample(importance_rows(len(test), len(columns), test.nbytes, budget), generator)
    base = metric(name)(predict(sample))
    if np.isnan(base):
        return []
    shuffles = np.stack([generator.permutation(sample.num_rows) for _ in range(REPEATS)])
    stacked = pa.concat_tables([sample] * REPEATS)
    found = [_importance(predict, stacked, column, shuffles, name, base) for column in columns]
    return sorted(found, key=lambda importance: -importance.drop)


def importance_rows(rows: int, columns: int, nbytes: int, budget: int = BUDGET) -> int:
    """How many of the rows are used: at most 3,000, and no more than the budgets of predictions and memory allow."""
    affordable = MOST_BYTES * rows // (REPEATS * max(nbytes, 1))
    return max(1, min(rows, MOST_ROWS, affordable, budget // (REPEATS * max(columns, 1))))


def _importance(
    predict: Predict, stacked: pa.Table, column: str, shuffles: Indices, name: str, base: float
) -> Importance:
    """All repeats in one prediction: `stacked` holds the sample once per shuffle."""
    repeats, rows = shuffles.shape
    position = stacked.column_names.index(column)
    shuffled = stacked.column(column).take(pa.array(shuffles.ravel()))
    scored = predict(stacked.set_column(position, stacked.schema.field(position), shuffled))
    parts = [scored.take(np.arange(rows) + repeat * rows) for repeat in range(repeats)]
    drops = np.array([improvement(name, base, metric(name)(part)) for part in parts])
    return Importance(column, float(drops.mean()), float(drops.std()))
