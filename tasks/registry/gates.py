"""The judgement: a challenger against its floors, its budgets and the champion, on the same unseen rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.modelfile import BUDGETS, LATENCY, METRICS, has_limits_only
from models.sections import Gate, Promotion
from tasks.evaluation.behaviour import Behaved
from tasks.evaluation.bootstrap import Interval, Resampling, paired_difference
from tasks.evaluation.form import difference_to_origin
from tasks.evaluation.metrics import metric
from tasks.evaluation.scored import Scored
from tasks.export.exported import TOLERANCE
from tasks.registry.approval import Word

Outcome = Literal["yes", "no", "undecided", "waiting"]
"""Waiting is what only a person's word is missing for."""
DECIDING: tuple[Outcome, ...] = ("no", "undecided", "waiting")
"""The first of these that a check has is the verdict."""
IN_UNITS_OF_TARGET = frozenset({"rmse", "mae"})
"""Metrics whose margin is a share of the champion's value, since an absolute one would depend on the unit."""
SMALLEST_SLICE = 30
MORE_ROWS = "give more data or a larger split.test, and train again"
SEED = 0
ROUNDING = 1e-6


@dataclass(frozen=True)
class Parent:
    """What the challenger is another form of: a version, as a quantised one is, or itself by the usual settings."""

    number: str | None
    """None for the challenger as it was exported, where settings are kept on it that compute otherwise."""
    scored: Scored | None
    """On the rows of the challenger; None where the version is gone."""
    margin: float
    """How much worse than it the challenger may be, see `Hardware.max_accuracy_loss`."""
    obstacle: str | None = None
    """Why the version, which is there, can't be scored."""

    @property
    def name(self) -> str:
        """In words."""
        return f"its parent, version {self.number}" if self.number else "the version as it was exported"


@dataclass(frozen=True)
class Evidence:
    """What a judgement rests on. Row i of both models is the same row of data, unseen by either."""

    challenger: Scored
    champion: Scored | None
    slices: Mapping[str, Mapping[str, NDArray[np.bool_]]] = field(default_factory=dict)
    """Column to value to mask [N]."""
    measured: Mapping[str, float] = field(default_factory=dict)
    """Budgets, such as latency_p99_ms."""
    behaviour: Sequence[Behaved] = ()
    """How the challenger behaves under the changes of its model file."""
    parity: float | None = None
    """Largest difference between torch and ONNX Runtime, where the version was trained here."""
    parent: Parent | None = None
    """Where the version is another form of one, or of itself: asked in place of parity, or besides."""
    groups: NDArray[np.int64] | None = None
    """[N] which rows belong together, where the split keeps groups whole: they are resampled as one."""
    obstacle: str | None = None
    """Why no fair comparison is possible."""


@dataclass(frozen=True)
class Check:
    """One question that was asked, with its numbers."""

    gate: str
    outcome: Outcome
    text: str
    value: float | None = None
    limit: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger may become champion, and why."""

    outcome: Outcome
    rows: int
    checks: tuple[Check, ...]

    @property
    def reasons(self) -> list[str]:
        """What spoke against it; what spoke for it when nothing did."""
        against = [check.text for check in self.checks if check.outcome in ("no", "undecided")]
        return against or [check.text for check in self.checks]

    def and_also(self, check: Check) -> "Verdict":
        """The verdict with one more question."""
        checks = (*self.checks, check)
        return Verdict(_outcome(checks), self.rows, checks)

    def with_word(self, asked: bool, word: Word | None) -> "Verdict":
        """The verdict with a person's word; where it is yes and the word that is asked for is not given, it waits."""
        if word:
            return self.and_also(Check("approval", "yes" if word.approve else "no", word.text))
        if asked and self.outcome == "yes":
            return self.and_also(Check("approval", "waiting", "a person has to approve it, and is waited for"))
        return self

    def as_dict(self) -> dict[str, Any]:
        """The verdict as plain JSON values."""
        return {"outcome": self.outcome, "rows": self.rows, "checks": [asdict(check) for check in self.checks]}


def judge(evidence: Evidence, gates: Mapping[str, Gate], promotion: Promotion) -> Verdict:
    """The verdict of all gates. Without a gate on a metric, the task's first one must not be worse than the champion's.

    Metrics are asked for only where enough rows can be judged fairly. One "no" decides; failing that, one "undecided".
    """
    asked = dict(gates)
    if all(has_limits_only(name) for name in gates):
        asked[METRICS[evidence.challenger.task][0]] = Gate()
    fairness = _fairness(evidence, promotion)
    checks = [fairness, *_parity(evidence)]
    if evidence.parent and fairness.outcome == "yes":
        checks.append(_against_parent(evidence, evidence.parent, promotion))
    for name, gate in asked.items():
        if name in BUDGETS or fairness.outcome == "yes":
            checks += _limits(name, gate, evidence)
        if not has_limits_only(name) and fairness.outcome == "yes" and evidence.champion is not None:
            checks += _against_champion(name, gate, evidence, evidence.champion, promotion)
    if fairness.outcome == "yes":
        checks += [_behaved(found, min(SMALLEST_SLICE, promotion.min_rows)) for found in evidence.behaviour]
    return Verdict(_outcome(checks), len(evidence.challenger), tuple(checks))


def _outcome(checks: Sequence[Check]) -> Outcome:
    outcomes = {check.outcome for check in checks}
    return next((outcome for outcome in DECIDING if outcome in outcomes), "yes")


def judge_floors(
    scored: Scored, gates: Mapping[str, Gate], measured: Mapping[str, float], behaviour: Sequence[Behaved] = ()
) -> list[Check]:
    """The limits that a graph has to keep by itself, whoever is champion; its latency is measured at promotion.

    `measured` holds its size, and the values of the gates under shifts.
    """
    evidence = Evidence(scored, None, measured=measured)
    limits = [check for name, gate in gates.items() if name != LATENCY for check in _limits(name, gate, evidence)]
    return [*limits, *(_behaved(found, SMALLEST_SLICE) for found in behaviour)]


def _fairness(evidence: Evidence, promotion: Promotion) -> Check:
    if evidence.obstacle:
        return Check("unseen rows", "undecided", evidence.obstacle)
    rows = len(evidence.challenger)
    enough = rows >= promotion.min_rows
    text = f"{rows:,} rows that no side was trained on"
    if not enough:
        text += f"; a judgement needs {promotion.min_rows:,}: {MORE_ROWS}"
    return Check("unseen rows", "yes" if enough else "undecided", text, rows, promotion.min_rows)


def _parity(evidence: Evidence) -> Iterator[Check]:
    """Training stops beyond the tolerance; asked again here, since a version may come from an older release."""
    if evidence.parity is not None:
        holds = evidence.parity <= TOLERANCE
        text = f"torch and ONNX Runtime {'agree within' if holds else 'differ by'} {evidence.parity:.1g}"
        yield Check("parity", "yes" if holds else "no", text, evidence.parity, TOLERANCE)


def _against_parent(evidence: Evidence, parent: Parent, promotion: Promotion) -> Check:
    """Not worse than what it is another form of, by the interval of the task's first metric (promise 3)."""
    name, rival = METRICS[evidence.challenger.task][0], "parent" if parent.number else "export"
    if parent.obstacle:
        told = f"{parent.name}, can't be asked about these rows: {parent.obstacle}"
        return Check("parent", "undecided", f"{told}; it can't be told whether it is as good")
    if parent.scored is None:
        gone = f"{parent.name}, is gone, and it can't be told whether it is as good; measure again"
        return Check("parent", "undecided", gone)
    resampling = Resampling(promotion.resamples, SEED, evidence.groups)
    found = difference_to_origin(name, evidence.challenger, parent.scored, resampling)
    return _compare(name, found, -parent.margin * _unit(name, parent.scored), rival, f"that of {parent.name}")


def _limits(name: str, gate: Gate, evidence: Evidence) -> Iterator[Check]:
    if gate.min is None and gate.max is None:
        return
    value = evidence.measured.get(name, np.nan) if has_limits_only(name) else metric(name)(evidence.challenger)
    if np.isnan(value):
        yield Check(name, "undecided", f"{name} can't be computed on these rows")
        return
    for limit, holds, word in (
        (gate.min, value >= (gate.min or 0), "at least"),
        (gate.max, value <= (gate.max or 0), "at most"),
    ):
        if limit is not None:
            text = f"{name} is {value:.4g}, {'as required' if holds else 'but must be'} {word} {limit:g}"
            yield Check(name, "yes" if holds else "no", text, value, limit)


def _behaved(found: Behaved, fewest: int) -> Check:
    """One behaviour test; a direction must also be that of the rows' mean, which no movement at all is not."""
    test, gate = found.test, f"behaviour {found.test.name}"
    if found.rows < fewest:
        few = f"its change changes {found.rows:,} of these rows; a judgement needs {fewest:,}"
        return Check(gate, "undecided", f"{test.name!r} can't be judged: {found.obstacle or few}")
    enough = found.share >= test.share
    moves = test.expect is None or (found.moved > 0 if test.expect == "up" else found.moved < 0)
    text = f"{test.name!r} holds for {_percent(found.share)} of {found.rows:,} rows"
    text += f", {'as required' if enough else 'but must for'} at least {_percent(test.share)}"
    if not moves:
        text += f", but on average the score does not go {test.expect}"
    if not enough:
        text += f"; {found.example}"
    return Check(gate, "yes" if enough and moves else "no", text, found.share, test.share)


def _percent(share: float) -> str:
    """Cut rather than rounded, so that what is below a limit doesn't read as the limit."""
    return f"{np.floor(share * 10_000 + ROUNDING) / 100:g} %"


def _against_champion(
    name: str, gate: Gate, evidence: Evidence, champion: Scored, promotion: Promotion
) -> Iterator[Check]:
    if gate.beats_champion or gate.margin is not None:
        found, allowed = _difference(name, gate, evidence, champion, promotion)
        yield _compare(name, found, None if gate.beats_champion else -allowed)
    for column in gate.slices:
        for value, rows in evidence.slices.get(column, {}).items():
            if rows.sum() >= SMALLEST_SLICE:
                found, allowed = _difference(name, gate, evidence, champion, promotion, rows)
                yield _compare_slice(name, f"{column} = {value}", found, -allowed)


def _difference(
    name: str,
    gate: Gate,
    evidence: Evidence,
    champion: Scored,
    promotion: Promotion,
    rows: NDArray[np.bool_] | None = None,
) -> tuple[Interval, float]:
    """The challenger's lead on all rows or those of the mask, and by how much it may be behind there."""
    challenger, resampling = evidence.challenger, Resampling(promotion.resamples, SEED, evidence.groups)
    if rows is not None:
        challenger, champion, resampling = challenger.take(rows), champion.take(rows), resampling.of(rows)
    return paired_difference(name, challenger, champion, resampling), (gate.margin or 0.0) * _unit(name, champion)


def _unit(name: str, rival: Scored) -> float:
    """What margins are a share of."""
    return metric(name)(rival) if name in IN_UNITS_OF_TARGET else 1.0


def _compare(
    name: str, found: Interval, floor: float | None, rival: str = "champion", whose: str = "the champion's"
) -> Check:
    """Against the least lead that is accepted; None asks for any lead at all."""
    if np.isnan(found.low):
        return Check(name, "undecided", f"{name} can't be compared on these rows")
    limit = floor or 0.0
    holds = found.low > 0 if floor is None else found.low >= floor
    where = "above 0" if floor is None else f"at {limit:+.4f} or above"
    text = f"{_lead(name, found, whose)}; the interval {'lies' if holds else 'must lie'} {where}"
    return Check(
        f"{name} against {rival}", "yes" if holds else "no", text, found.difference, limit, found.low, found.high
    )


def _compare_slice(name: str, where: str, found: Interval, limit: float) -> Check:
    """A slice is small, so its interval is wide: it fails only where the interval as a whole lies below the limit."""
    if np.isnan(found.high):
        return Check(f"{name} where {where}", "yes", f"{name} where {where}: too few kinds of rows to compare")
    worse = found.high < limit
    text = _lead(f"{name} where {where}", found)
    return Check(
        f"{name} where {where}", "no" if worse else "yes", text, found.difference, limit, found.low, found.high
    )


def _lead(what: str, found: Interval, whose: str = "the champion's") -> str:
    """The difference in words; positive is better, whichever way the metric runs."""
    side = "better" if found.difference > 0 else "worse"
    interval = f"95 % interval {found.low:+.4f} to {found.high:+.4f}"
    return f"{what} is {abs(found.difference):.4f} {side} than {whose} ({interval})"
