"""What the points say about the test rows, beside what the version says in float32."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.contract import Contract
from models.modelfile import METRICS
from tasks.evaluation.bootstrap import Interval, Resampling
from tasks.evaluation.form import difference_to_origin
from tasks.evaluation.metrics import metric
from tasks.evaluation.of_graph import scored_of
from tasks.evaluation.scored import Scored
from tasks.hardware.bench import Sampled
from tasks.hardware.prices import Price
from tasks.hardware.results import Measured

SEED = 0


@dataclass(frozen=True)
class Yardstick:
    """The test rows, and what the version says about them in float32 by default."""

    contract: Contract
    rows: pa.Table
    groups: NDArray[np.int64] | None
    """[N] which rows belong together, where the split keeps groups whole."""
    resamples: int

    @property
    def metric(self) -> str:
        """The task's first one."""
        return METRICS[self.contract.task][0]

    def scored(self, sampled: Sampled) -> Scored:
        """The answers of a point beside the truth."""
        return scored_of(sampled.predictions, self.rows, self.contract, self.contract)

    def difference(self, scored: Scored, reference: Scored) -> Interval:
        """How much better than the reference, on the same rows."""
        return difference_to_origin(self.metric, scored, reference, Resampling(self.resamples, SEED, self.groups))


def summed_up(
    sampled: Sampled, reference: Scored, yardstick: Yardstick, size_mb: float, price: Price | None
) -> Measured:
    """All rounds of a point in a few numbers: the best speed, the largest memory, the median time to load."""
    scored = yardstick.scored(sampled)
    found = yardstick.difference(scored, reference)
    rounds, run = sampled.rounds, sampled.point.execution
    latencies = np.concatenate([each.latencies_ms for each in rounds])
    p50, p95, p99 = (float(value) for value in np.quantile(latencies, [0.5, 0.95, 0.99]))
    speed = max(each.rows_per_second for each in rounds)
    return Measured(
        precision=sampled.point.precision,
        execution={name: value if name != "options" else dict(value) for name, value in vars(run).items()},
        rows_per_second=speed,
        latency_p50_ms=p50,
        latency_p95_ms=p95,
        latency_p99_ms=p99,
        load_seconds=float(np.median([each.load_seconds for each in rounds])),
        peak_mb=max(each.peak_mb for each in rounds),
        size_mb=size_mb,
        value=_or_none(metric(yardstick.metric)(scored)),
        difference=_or_none(found.difference),
        low=_or_none(found.low),
        high=_or_none(found.high),
        beside=next(each.beside for each in rounds if each.beside is not None),
        cost=price.per_million(speed) if price else None,
        rates=tuple(each.rows_per_second for each in rounds),
    )


def pooled(first: Sampled, again: Sequence[Sampled]) -> Sampled:
    """The rounds of a point that was measured in several stages, together."""
    same = [each for each in again if each.point == first.point]
    return Sampled(first.point, tuple(r for each in (first, *same) for r in each.rounds), first.predictions)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
