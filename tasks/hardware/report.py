"""One HTML file about one version: which machine and setting to deploy, and what was measured of all others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import OutsideError
from tasks.evaluation.metrics import NAMES
from tasks.evaluation.page import render_page
from tasks.evaluation.plots.style import to_svg
from tasks.evaluation.wording import show
from tasks.hardware.choose import problems_of
from tasks.hardware.machine import PROVIDERS, short
from tasks.hardware.plots import figures
from tasks.hardware.precision import PRECISION_NAMES
from tasks.hardware.prices import show_cost
from tasks.hardware.results import Measured, Placement, Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPORT = "hardware.html"
REFUSED = "Nothing new to deploy: what was chosen does not keep within the limits of the model file on the test rows."


@dataclass(frozen=True)
class Line:
    """A point in the table."""

    machine: str
    name: str
    point: Measured
    chosen: bool
    problems: tuple[str, ...]
    """Why it may not be chosen."""
    gain: float
    """Rows a second over the reference of its machine."""


def render_hardware(results: Sequence[Result]) -> str:
    """The whole report as one HTML text, of the results of one or several machines; figures are inline SVG."""
    drawn: dict[str, Figure] = figures(results)
    return render_page(
        "tasks.hardware",
        "hardware.html",
        {"show": show, "short": short, "cost": show_cost},
        results=results,
        first=results[0],
        metric=NAMES[results[0].metric],
        several=len(results) > 1,
        headline=headline(results),
        lines=[line for result in results for line in _lines(result)],
        best=[(result, result.best) for result in results],
        nodes=[_node_table(result) for result in results],
        figures=[(name, to_svg(figure)) for name, figure in drawn.items()],
        precisions=PRECISION_NAMES,
        providers=PROVIDERS,
    )


def write_report(results: Sequence[Result], folder: Path) -> Path:
    """The report in the folder. Raises OutsideError where it can't be written."""
    path = folder / REPORT
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(render_hardware(results), encoding="utf-8")
    except OSError as error:
        raise OutsideError(f"{path}: can't be written: {error.strerror}") from None
    return path


def headline(results: Sequence[Result]) -> str:
    """What to deploy, and on which machine where there are several."""
    chosen = [(result, result.to_deploy) for result in results if result.to_deploy]
    if not chosen:
        refused = any(result.refused for result in results)
        return REFUSED if refused else "Nothing that was measured keeps within the limits of the model file."
    unpriced = [result.machine.name for result, best in chosen if best.cost is None]
    result, best = min(chosen, key=lambda each: _rank(each[0], each[1], not unpriced))
    where = f" on {result.machine.name}" if len(results) > 1 else ""
    price = (
        f", {show_cost(best.cost)} {result.price.currency} a million" if best.cost is not None and result.price else ""
    )
    told = f"Deploy {best.name_on(result.machine)}{where}: {best.rows_per_second:,.0f} rows a second{price}."
    if not unpriced or len(chosen) == 1:
        return told
    return f"{told} No price is known for {', '.join(unpriced)}: the fastest is named, not the cheapest."


def _rank(result: Result, best: Measured | None, priced: bool) -> tuple[float, float]:
    """The cheapest first, where all prices are known; else the fastest."""
    if best is None:
        return float("inf"), 0.0
    return best.cost if priced and best.cost is not None else 0.0, -best.rows_per_second


def _lines(result: Result) -> Iterator[Line]:
    reference = result.points[0]
    for place, point in enumerate(result.points):
        problems = tuple(problems_of(point, reference, result.rules))
        gain = point.rows_per_second / reference.rows_per_second
        yield Line(result.machine.name, point.name_on(result.machine), point, place == result.chosen, problems, gain)


@dataclass(frozen=True)
class NodeTable:
    """A row for each operator, a column for each graph and provider that was asked for."""

    machine: str
    placements: tuple[Placement, ...]
    rows: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]
    """Operators, each with the nodes that the provider took and those that fell back, by column."""


def _node_table(result: Result) -> NodeTable:
    operators = sorted({each.operator for placement in result.placements for each in placement.nodes})
    rows = tuple((name, tuple(_counted(placement, name) for placement in result.placements)) for name in operators)
    return NodeTable(result.machine.name, result.placements, rows)


def _counted(placement: Placement, operator: str) -> tuple[int, int]:
    of = [each for each in placement.nodes if each.operator == operator]
    taken = sum(each.nodes for each in of if each.provider == placement.asked)
    return taken, sum(each.nodes for each in of) - taken
