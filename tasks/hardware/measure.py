"""A measurement from beginning to end: graphs, who runs them, all precisions, then settings around the best."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

from models.errors import InputError, OutsideError
from models.sections import Hardware
from tasks.hardware.accuracy import pooled, summed_up
from tasks.hardware.bench import ProbeError, Sampled, in_turns
from tasks.hardware.choose import cheapest, problems_of, refusal_of
from tasks.hardware.machine import Machine, absent_providers
from tasks.hardware.points import REFERENCE, Grid, Point
from tasks.hardware.precision import PRECISION_NAMES, Precision
from tasks.hardware.prepare import Prepared
from tasks.hardware.prices import Price
from tasks.hardware.results import Measured, NotMeasured, PlacedNodes, Placement, Result, Rules
from tasks.scoring.execution import Execution

OnPoint = Callable[[int, int], None]
"""Is told how many rounds of points are done, of how many."""


@dataclass(frozen=True)
class Subject:
    """What is measured, and by which rules."""

    model: str
    version: str
    graph_sha256: str
    limits: Hardware
    price: Price | None
    machine: Machine


@dataclass
class _Account:
    """What grows while it is measured."""

    placements: list[Placement] = field(default_factory=list)
    failures: list[NotMeasured] = field(default_factory=list)
    done: int = 0

    def failed(self, point: Point, why: str) -> None:
        """A point that can't be run."""
        self.failures.append(NotMeasured(what=point.name, why=why))


def measure(prepared: Prepared, subject: Subject, grid: Grid, on_point: OnPoint = lambda done, total: None) -> Result:
    """All points of the grid, and the one to deploy.

    Raises InputError where none of the providers runs the graph, OutsideError where the version itself can't be run.
    """
    account = _Account()
    graphs = _graphs(prepared, grid, account)
    runnable = _runnable(prepared, grid, graphs, account)
    wanted = [p for p in grid.first() if p == REFERENCE or (p.execution.provider, p.precision) in runnable]
    first = _run(prepared, wanted, grid, account, on_point)
    if not first or first[0].point != REFERENCE:
        why = next((each.why for each in account.failures), "no reason is known")
        raise OutsideError(f"{subject.model}: version {subject.version} can't be run: {why}")
    measured = _summed(first, prepared, subject)
    again = _run(prepared, _around(measured, _rules(prepared, subject), grid), grid, account, on_point)
    known = {each.point.name for each in first}
    every = [*(pooled(each, again) for each in first), *(each for each in again if each.point.name not in known)]
    return _result(_summed(every, prepared, subject, measured), prepared, subject, grid, account)


def _graphs(prepared: Prepared, grid: Grid, account: _Account) -> list[Precision]:
    """The precisions of which there is a graph now."""
    found: list[Precision] = []
    for precision in grid.precisions:
        try:
            if precision != "float32":
                prepared.bench.convert(precision)
            found.append(precision)
        except ProbeError as error:
            account.failures.append(NotMeasured(what=PRECISION_NAMES[precision], why=str(error)))
    return found


def _runnable(
    prepared: Prepared, grid: Grid, graphs: Sequence[Precision], account: _Account
) -> set[tuple[str, Precision]]:
    """Providers and precisions that go together: those of which a profile shows that the provider ran nodes."""
    found: set[tuple[str, Precision]] = set()
    for provider in grid.providers:
        for precision in graphs:
            what = f"{PRECISION_NAMES[precision]} on {provider}"
            try:
                nodes = prepared.bench.place(precision, Execution(provider=provider, options=dict(grid.options)))
            except ProbeError as error:
                account.failures.append(NotMeasured(what=what, why=str(error)))
                continue
            held = tuple(PlacedNodes(**asdict(each)) for each in nodes)
            placement = Placement(asked=provider, precision=precision, nodes=held)
            account.placements.append(placement)
            if placement.taken:
                found.add((provider, precision))
            else:
                why = "it took no node of this graph; all of them fell back to the CPU"
                account.failures.append(NotMeasured(what=what, why=why))
    if not found:
        raise InputError(*dict.fromkeys(f"{each.what}: {each.why}" for each in account.failures))
    return found


def _run(
    prepared: Prepared, points: Sequence[Point], grid: Grid, account: _Account, on_point: OnPoint
) -> list[Sampled]:
    total = account.done + len(points) * grid.rounds

    def done() -> None:
        account.done += 1
        on_point(account.done, total)

    return list(in_turns(prepared.bench, points, grid.rounds, grid.seconds, account.failed, done))


def _summed(
    sampled: Sequence[Sampled], prepared: Prepared, subject: Subject, before: Sequence[Measured] = ()
) -> list[Measured]:
    yardstick, bench, known = prepared.yardstick, prepared.bench, {each.name: each for each in before}
    return [
        summed_up(
            each, sampled[0], yardstick, bench.size_mb(each.point.precision), subject.price, known.get(each.point.name)
        )
        for each in sampled
    ]


def _rules(prepared: Prepared, subject: Subject) -> Rules:
    return Rules(subject.limits, prepared.yardstick.metric, prepared.yardstick.provable)


def _around(measured: Sequence[Measured], rules: Rules, grid: Grid) -> list[Point]:
    """Settings around the best point and, where float32 is asked for, around the best of that, which the version keeps.

    So that the gain of another precision is told of like settings.
    """
    own = [point for point in measured if point.precision == "float32"] if "float32" in grid.precisions else []
    centres = [_best(of, measured[0], rules).point for of in (measured, own) if of]
    found = [point for centre in centres for point in grid.around(centre)]
    return [point for place, point in enumerate(found) if point not in found[:place]]


def _best(measured: Sequence[Measured], reference: Measured, rules: Rules) -> Measured:
    """The one around which settings are tried: the fastest whose accuracy is within the limits."""
    limits = rules.limits.model_copy(update={"max_latency_p99_ms": None, "max_memory_mb": None})
    kept = [point for point in measured if not any(problems_of(point, reference, replace(rules, limits=limits)))]
    return max(kept or measured[:1], key=lambda point: point.rows_per_second)


def _result(points: Sequence[Measured], prepared: Prepared, subject: Subject, grid: Grid, account: _Account) -> Result:
    yardstick, rules = prepared.yardstick, _rules(prepared, subject)
    chosen, why = cheapest(points, rules)
    absent = [NotMeasured(what=name, why=why) for name, why in absent_providers().items()]
    return Result(
        model=subject.model,
        version=subject.version,
        graph_sha256=subject.graph_sha256,
        snapshot=yardstick.contract.snapshot,
        metric=rules.metric,
        choice=yardstick.choice.drawn,
        test=yardstick.test.drawn,
        provable=rules.provable,
        limits=subject.limits,
        machine=subject.machine,
        price=subject.price,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        rounds=grid.rounds,
        seconds=grid.seconds,
        points=tuple(points),
        placements=tuple(account.placements),
        not_measured=(*account.failures, *absent),
        chosen=chosen,
        why=why,
        refused=None if chosen is None else refusal_of(points[chosen], points[0], rules),
    )
