"""What the points say about rows whose truth is known, beside what the version says in float32."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.contract import Contract
from models.modelfile import METRICS
from tasks.evaluation import form
from tasks.evaluation.bootstrap import Interval, Resampling, paired_difference
from tasks.evaluation.metrics import metric
from tasks.evaluation.of_graph import scored_of
from tasks.evaluation.scored import Scored
from tasks.hardware.bench import Sampled
from tasks.hardware.prices import Price
from tasks.hardware.results import Compared, Drawn, Measured
from tasks.scoring.predictor import Predictions

SEED = 0
Difference = Callable[[str, Scored, Scored, Resampling], Interval]


@dataclass(frozen=True)
class Known:
    """Rows of one split, whose truth is known."""

    table: pa.Table
    drawn: Drawn
    groups: NDArray[np.int64] | None = None
    """[N] which rows belong together, where the split keeps groups whole."""


@dataclass(frozen=True)
class Yardstick:
    """The rows that points are chosen by, and the test rows, by which the loss of the chosen one is told."""

    contract: Contract
    choice: Known
    """Never test rows."""
    test: Known
    resamples: int

    @property
    def metric(self) -> str:
        """The task's first one."""
        return METRICS[self.contract.task][0]

    @property
    def provable(self) -> float:
        """The least loss of another form that the test rows can rule out. Their number says so, not their answers."""
        return form.provable(self.metric, len(self.test.table), self.test.groups)

    def on_choice(self, sampled: Sampled, reference: Sampled) -> Compared:
        """How much better than the reference on the rows that choose: by the bootstrap alone, which proves nothing."""
        return self._compared(self.choice, sampled.choice, reference.choice, paired_difference)

    def on_test(self, sampled: Sampled, reference: Sampled) -> Compared:
        """The same on the test rows, where the interval has to show what is lost at most."""
        return self._compared(self.test, sampled.test, reference.test, form.difference_to_origin)

    def _compared(self, known: Known, answers: Predictions, of_reference: Predictions, differ: Difference) -> Compared:
        scored, origin = (
            scored_of(each, known.table, self.contract, self.contract) for each in (answers, of_reference)
        )
        found = differ(self.metric, scored, origin, Resampling(self.resamples, SEED, known.groups))
        return Compared(
            value=_or_none(metric(self.metric)(scored)),
            same=form.same_answers(scored, origin),
            **{name: _or_none(end) for name, end in asdict(found).items()},
        )


def summed_up(
    sampled: Sampled,
    reference: Sampled,
    yardstick: Yardstick,
    size_mb: float,
    price: Price | None,
    before: Measured | None = None,
) -> Measured:
    """All rounds of a point in a few numbers: the best speed, the largest memory, the median time to load.

    `before` is what an earlier stage has said of the point, whose answers are the same since.
    """
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
        choice=before.choice if before else yardstick.on_choice(sampled, reference),
        test=before.test if before else yardstick.on_test(sampled, reference),
        beside=next(each.beside for each in rounds if each.beside is not None),
        cost=price.per_million(speed) if price else None,
        rates=tuple(each.rows_per_second for each in rounds),
    )


def pooled(first: Sampled, again: Sequence[Sampled]) -> Sampled:
    """The rounds of a point that was measured in several stages, together."""
    same = [each for each in again if each.point == first.point]
    rounds = tuple(r for each in (first, *same) for r in each.rounds)
    return Sampled(first.point, rounds, first.choice, first.test)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
