"""What a version does on rows whose truth is known by now, beside what it was judged to do."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from models.modelfile import LOWER_IS_BETTER, METRICS
from tasks.evaluation.bootstrap import Resampling, intervals
from tasks.evaluation.metrics import compute_metrics
from tasks.monitoring.outcomes import Outcomes

RESAMPLES, SEED = 300, 0


@dataclass(frozen=True)
class Figure:
    """A metric with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Measured:
    """Metrics of the rows of a window that have labels."""

    labelled: int
    """Rows with a label."""
    unknown: int
    """Those of them whose class the version does not know; metrics are without them."""
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class Compared:
    """One metric, promised and now."""

    metric: str
    promised: Figure
    now: Figure
    judged: bool
    """Whether it says if the version has become worse: the task's first metric, and those with gates."""
    worse: bool


@dataclass(frozen=True)
class Performance:
    """All metrics that were promised and can be measured."""

    labelled: int
    unknown: int
    compared: tuple[Compared, ...]
    fewest: int
    """Rows with a known label below which nothing is called worse."""

    @property
    def enough(self) -> bool:
        """Whether there are rows enough to judge."""
        return self.labelled - self.unknown >= self.fewest

    @property
    def worse(self) -> tuple[Compared, ...]:
        """Judged ones that are worse than promised."""
        return tuple(each for each in self.compared if each.worse)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "labelled": self.labelled,
            "unknown": self.unknown,
            "enough": self.enough,
            "fewest": self.fewest,
            "metrics": {
                each.metric: {
                    "promised": asdict(each.promised), "now": asdict(each.now), "judged": each.judged,
                    "worse": each.worse,
                }
                for each in self.compared
            },
        }  # fmt: skip


def measure(outcomes: Outcomes | None) -> Measured | None:
    """Metrics of the collected rows with bootstrap intervals; None where no labels were asked for or arrived."""
    scored = outcomes.scored() if outcomes else None
    if outcomes is None or scored is None:
        return None
    values = compute_metrics(scored)
    found = intervals(scored, METRICS[scored.task], Resampling(RESAMPLES, SEED))
    figures = {name: Figure(value, *found[name]) for name, value in values.items() if name in found}
    return Measured(outcomes.labelled, outcomes.unknown, figures)


def promised_by(evaluation: Mapping[str, Any]) -> dict[str, Figure]:
    """The metrics of a version's test rows, by the record of its evaluation."""
    ends: Mapping[str, Sequence[float]] = evaluation["intervals"]
    return {name: Figure(evaluation["metrics"][name], *ends[name]) for name in ends if name in evaluation["metrics"]}


def compare_performance(
    measured: Measured, promised: Mapping[str, Figure], judged: Collection[str], fewest: int
) -> Performance:
    """What is worse now: the interval lies wholly on the worse side of the promised one.

    With fewer than `fewest` rows nothing is: bootstrap intervals of few rows are too narrow, or of no width at all.
    Intervals that do not touch are stricter than a test of the difference at the level of 5 % (Schenker and Gentleman
    2001), which keeps false alarms rare.
    """
    looked_at = judged if measured.labelled - measured.unknown >= fewest else ()
    compared = tuple(
        Compared(name, promised[name], now, name in judged, name in looked_at and _worse(name, promised[name], now))
        for name, now in measured.figures.items()
        if name in promised
    )
    return Performance(measured.labelled, measured.unknown, compared, fewest)


def _worse(name: str, promised: Figure, now: Figure) -> bool:
    return now.low > promised.high if name in LOWER_IS_BETTER else now.high < promised.low
