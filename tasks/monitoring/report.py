"""One HTML file per window: what has drifted first, then everything else that was compared."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.profile import Profile, Rate
from models.sections import Monitor
from tasks.evaluation.metrics import NAMES
from tasks.evaluation.page import render_page
from tasks.evaluation.plots.style import to_svg
from tasks.monitoring.drift import Change, Drift
from tasks.monitoring.plots import shares
from tasks.monitoring.window import Window

MOST_FIGURES = 24
MOST_LINES = 500
"""Of the table of all changes."""
NAMED = 3
"""Changes that the headline names."""


@dataclass(frozen=True)
class WindowFacts:
    """What was compared with what."""

    model: str
    version: str
    inputs: Sequence[str]
    made: str
    """When, as a person reads it."""
    run_id: str


def render_report(facts: WindowFacts, stored: Profile, window: Window, drift: Drift, rules: Monitor) -> str:
    """The whole report as one HTML text; figures are inline SVG."""
    return render_page(
        "tasks.monitoring",
        "drift.html",
        {"chance": _chance, "number": _number},
        facts=facts,
        stored=stored,
        window=window,
        drifted=drift.drifted,
        changes=drift.changes[:MOST_LINES],
        total=len(drift.changes),
        judged=sum(change.judged for change in drift.changes),
        headline=headline(drift),
        figures=_figures(drift),
        rules=rules,
        performance=drift.performance,
        names=NAMES,
    )


def headline(drift: Drift) -> str:
    """What has drifted, or that nothing has, and whether the version does worse than promised."""
    worse = drift.performance.worse if drift.performance else ()
    metrics = ", ".join(NAMES[each.metric].lower() for each in worse)
    return _drift_in_words(drift) + (f" The version does worse than promised: {metrics}." if worse else "")


def _drift_in_words(drift: Drift) -> str:
    names = list(dict.fromkeys(_named(change) for change in drift.drifted))
    if not names:
        return "Nothing has drifted: these rows look like those of the training."
    shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    return f"These rows differ from those of the training: {shown}."


def _named(change: Change) -> str:
    if change.column is not None:
        return f"“{change.column}”"
    return f"the {change.facet} of the predictions" if change.of == "predictions" else f"{change.facet} rows"


def _figures(drift: Drift) -> list[tuple[Change, str]]:
    """What has drifted, and the predictions in any case."""
    wanted = [*drift.drifted, *(c for c in drift.changes if c.of == "predictions" and not c.drifted)]
    return [
        (change, to_svg(shares(f"{change.name}: {change.facet}", change.before, change.now)))
        for change in wanted[:MOST_FIGURES]
        if not isinstance(change.before, Rate) and not isinstance(change.now, Rate)
    ]


def _chance(p_value: float) -> str:
    return "below 0.0001" if p_value < 1e-4 else f"{p_value:.4f}" if p_value < 0.1 else f"{p_value:.2f}"


def _number(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")
