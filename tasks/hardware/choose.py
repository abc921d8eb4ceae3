"""The cheapest point within the limits of the model file, and which points no other beats."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from models.modelfile import LOWER_IS_BETTER
from models.sections import Hardware
from tasks.evaluation.metrics import NAMES
from tasks.hardware.precision import PRECISIONS
from tasks.hardware.results import Compared, Measured, Rules
from tasks.registry.gates import IN_UNITS_OF_TARGET
from tasks.scoring.execution import Execution

BESIDE = 0.01
"""How far a row's prediction may depend on the rows beside it, as a probability or a share of the values' spread."""
NEAR = 1.05
"""Costs up to so many times the lowest are alike: the more exact point, and the simpler, is chosen among them.

So are points whose best round reaches the worst one of the fastest: what may be chance changes nothing.
"""


def problems_of(point: Measured, reference: Measured, rules: Rules) -> Iterator[str]:
    """Why a point may not be chosen; nothing where it keeps within all limits. Test rows are not asked."""
    limits = rules.limits
    if point != reference:
        # Float32 too: providers' options and passes may compute in fewer bits than the graph says.
        lost = _lost(point.precision, point.choice, reference.choice, rules)
        if lost:
            yield lost
        elif not point.choice.same and rules.provable > limits.max_accuracy_loss:
            yield f"there are too few test rows to show that it loses less than {rules.provable:.4f}"
    if limits.max_latency_p99_ms is not None and point.latency_p99_ms > limits.max_latency_p99_ms:
        yield f"99 of 100 single rows take up to {point.latency_p99_ms:.3g} ms"
    if limits.max_memory_mb is not None and point.peak_mb > limits.max_memory_mb:
        yield f"it needs {point.peak_mb:.0f} MB"
    if point.beside > BESIDE:
        yield f"a row's answer changes by up to {point.beside:.3f} with the rows beside it"


def refusal_of(point: Measured, reference: Measured, rules: Rules) -> str | None:
    """What the test rows say against a point that was chosen without them; None where they bear it out."""
    return None if point == reference else _lost(point.precision, point.test, reference.test, rules)


def _lost(precision: str, found: Compared, reference: Compared, rules: Rules) -> str | None:
    """In words, where more of the metric may be lost than is allowed."""
    named, before = NAMES[rules.metric].lower(), " before" if precision == "float32" else ""
    if found.low is None:
        return f"{named} can't be compared with float32{before} on these rows"
    if found.low < -allowed_loss(rules.limits, rules.metric, reference.value):
        return f"{named} may be {-found.low:.4f} worse than in float32{before}"
    return None


def allowed_loss(limits: Hardware, metric: str, value: float | None) -> float:
    """How much worse the metric may be; a share of its value where it has the unit of the target."""
    return limits.max_accuracy_loss * ((value or 0.0) if metric in IN_UNITS_OF_TARGET else 1.0)


def cheapest(points: Sequence[Measured], rules: Rules) -> tuple[int | None, str]:
    """The place of the point to deploy, and why in a sentence; None where none keeps within the limits.

    Without prices the fastest is the cheapest. The first point is the reference.
    """
    reference = points[0]
    kept = [i for i, p in enumerate(points) if not any(problems_of(p, reference, rules))]
    if not kept:
        nearest = min(points, key=_time)
        why = "; ".join(problems_of(nearest, reference, rules))
        return None, f"no point keeps within the limits; of the fastest, {nearest.name}: {why}"
    fastest = min((points[i] for i in kept), key=_time)
    alike = [i for i in kept if _time(points[i]) <= max(NEAR * _time(fastest), _worst_time(fastest))]
    best = min(alike, key=lambda i: (PRECISIONS.index(points[i].precision), _departures(points[i]), _time(points[i])))
    among = f"of {len(kept)} points within the limits, {len(points)} measured"
    return best, f"{_gain(points[best], [points[i] for i in kept], reference)}; the cheapest {among}"


def _gain(best: Measured, kept: Sequence[Measured], reference: Measured) -> str:
    """In words: over the version as it was, and of another precision also over float32 at its best settings."""
    told = f"{best.rows_per_second / reference.rows_per_second:.2f} times as many rows a second as before"
    own = [point.rows_per_second for point in kept if point.precision == "float32"]
    if best.precision == "float32" or not own:
        return told
    return f"{told}, {best.rows_per_second / max(own):.2f} times as many as the best of float32"


def _time(point: Measured) -> float:
    """What a row takes, which is what it costs: all points are of one machine."""
    return 1 / point.rows_per_second


def _worst_time(point: Measured) -> float:
    """What a row takes in the slowest round."""
    return _time(point) * point.rows_per_second / min(point.rates, default=point.rows_per_second)


def _departures(point: Measured) -> int:
    """Settings that are not the usual ones."""
    usual = asdict(Execution())
    return sum(value != usual[name] for name, value in point.execution.items())


def pareto(pairs: Sequence[tuple[float, float]]) -> list[bool]:
    """Which pairs are beaten by no other, where less is better of both; equal pairs don't beat each other."""
    found = [False] * len(pairs)
    lowest, last = float("inf"), None
    for place in sorted(range(len(pairs)), key=lambda i: pairs[i]):
        if pairs[place][1] < lowest or pairs[place] == last:
            lowest, last = pairs[place][1], pairs[place]
            found[place] = True
    return found


def loss_of(point: Measured, metric: str) -> float:
    """The metric on the test rows as a number of which less is better."""
    value = point.test.value if point.test.value is not None else float("nan")
    return value if metric in LOWER_IS_BETTER else -value
