"""Two figures: what accuracy costs, and what speed costs in waiting; the points that no other beats are joined."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from tasks.evaluation.metrics import NAMES
from tasks.evaluation.plots.style import FAINT, INK, MODEL, RIVAL, literal, new_figure
from tasks.hardware.choose import loss_of, pareto
from tasks.hardware.results import Measured, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = {"float32": "o", "float16": "s", "int8-dynamic": "v", "int8-tensor": "D", "int8-channel": "^"}
DECADE = 10
"""Times that latencies differ by from which on their axis is logarithmic."""


@dataclass(frozen=True)
class _Dot:
    point: Measured
    across: float
    up: float
    chosen: bool


def figures(results: Sequence[Result]) -> "dict[str, Figure]":
    """By name; the points of all machines. The first is left out where no price or no metric is known."""
    drawn = {"latency": latency_figure(results)}
    if any(point.cost is not None and point.test.value is not None for result in results for point in result.points):
        drawn = {"cost": cost_figure(results), **drawn}
    return drawn


def cost_figure(results: Sequence[Result]) -> "Figure":
    """The metric on the test rows over the cost of a million predictions."""
    first = results[0]
    figure, axes = new_figure("What accuracy costs")
    dots = [
        _Dot(point, point.cost, point.test.value, point is result.to_deploy)
        for result in results
        for point in result.points
        if point.cost is not None and point.test.value is not None
    ]
    _draw(axes, dots, [(dot.across, loss_of(dot.point, first.metric)) for dot in dots])
    currency = next((result.price.currency for result in results if result.price), "")
    axes.set_xlabel(literal(f"cost of a million predictions, {currency}", 60))
    axes.set_ylabel(f"{NAMES[first.metric].lower()} on the test rows")
    return figure


def latency_figure(results: Sequence[Result]) -> "Figure":
    """Rows per second over the time of 99 of 100 single rows."""
    figure, axes = new_figure("What speed costs in waiting")
    dots = [
        _Dot(point, point.latency_p99_ms, point.rows_per_second, point is result.to_deploy)
        for result in results
        for point in result.points
    ]
    _draw(axes, dots, [(dot.across, -dot.up) for dot in dots])
    axes.set_xlabel("99 of 100 single rows take at most, ms")
    axes.set_ylabel("rows per second")
    if max(dot.across for dot in dots) >= DECADE * min(dot.across for dot in dots):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
    return figure


def _draw(axes: "Axes", dots: Sequence[_Dot], pairs: Sequence[tuple[float, float]]) -> None:
    """All dots; those that no other beats joined, and the chosen ones in another colour."""
    front = sorted(
        (dot for dot, unbeaten in zip(dots, pareto(pairs), strict=True) if unbeaten), key=lambda dot: dot.across
    )
    axes.plot([dot.across for dot in front], [dot.up for dot in front], color=MODEL, linewidth=1.2, alpha=0.6)
    for precision, mark in MARKS.items():
        some = [dot for dot in dots if dot.point.precision == precision]
        if some:
            across, up = [dot.across for dot in some], [dot.up for dot in some]
            axes.scatter(across, up, marker=mark, s=34, color=MODEL, alpha=0.75, linewidths=0, label=precision)
    for place, dot in enumerate(dot for dot in dots if dot.chosen):
        mark, label = MARKS[dot.point.precision], None if place else "chosen"
        axes.scatter([dot.across], [dot.up], marker=mark, s=70, color=RIVAL, label=label)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, edgecolor=FAINT)
