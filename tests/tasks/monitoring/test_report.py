"""The report of a window."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from benchmarks.measuring.windows import made_rows, watch
from models.profile import Profile, Rate
from models.sections import Monitor
from tasks.monitoring.counting import Counting
from tasks.monitoring.drift import Drift, compare
from tasks.monitoring.frames import empty_bins
from tasks.monitoring.performance import Figure, Measured, Performance, compare_performance
from tasks.monitoring.plots import shares
from tasks.monitoring.report import WindowFacts, headline, render_report
from tasks.monitoring.window import Window

FACTS = WindowFacts("made <b>", "3", ["/data/<new>.csv"], "2026-11-26", "run")


def report(rules: Monitor, shifted: bool, performance: Performance | None = None) -> tuple[str, Drift]:
    rng = np.random.default_rng(0)
    watched = watch(rng)
    rows = made_rows(rng, 2000, "number 7" if shifted else None, 1.5)
    counting = Counting(watched.version.contract, watched.stored, {})
    counting.add(rows, watched.version.predict(rows))
    now: Profile = counting.profile(Rate(count=7, rows=2007))
    found = replace(compare(watched.stored, now, rules), performance=performance)
    window = Window(now, 2007, 7, {"out of <range>": 7})
    return render_report(FACTS, watched.stored, window, found, rules), found


def text_of(page: str) -> str:
    parts: list[str] = []

    class Words(HTMLParser):
        def handle_data(self, data: str) -> None:
            parts.append(data)

    Words().feed(page)
    return re.sub(r"\s+", " ", " ".join(parts))


def test_what_has_drifted_stands_first_with_its_figures() -> None:
    page, found = report(Monitor(), shifted=True)
    words = text_of(page)
    assert "These rows differ from those of the training: “number 7”." in words
    assert "2,007 rows beside 20,000 training rows" in words
    assert page.index("number 7") < page.index("All comparisons</h2>")
    assert page.count("<svg") == 3
    assert "out of <range>" in words and "/data/<new>.csv" in words and "<new>" not in page
    assert len(re.findall(r"<tr[ >]", page)) >= len(found.changes)


def test_nothing_has_drifted_is_said_too() -> None:
    few = Measured(99, 0, {"accuracy": Figure(0.1, 0.1, 0.1)})
    judged = compare_performance(few, {"accuracy": Figure(0.9, 0.8, 1.0)}, {"accuracy"}, 100)
    page, _ = report(Monitor(significance=1e-9), False, judged)
    assert "too few to judge: 100 are needed" in text_of(page) and "too few rows" in text_of(page)
    assert "Nothing has drifted" in text_of(page) and 'id="drifted"' not in page
    assert page.count("<svg") == 2


def test_it_runs_nothing_and_loads_nothing() -> None:
    page, _ = report(Monitor(), shifted=True)
    assert "<script" not in page and not re.search(r'(src|href)="(?!#)(?!data:)', page)


@pytest.mark.parametrize(
    ("count", "end"), [(1, "“a0”."), (3, "“a0”, “a1”, “a2”."), (5, "“a0”, “a1”, “a2” and 2 more.")]
)
def test_the_headline_names_a_few(count: int, end: str) -> None:
    from dataclasses import replace

    _, found = report(Monitor(), shifted=True)
    changes = tuple(replace(found.drifted[0], column=f"a{i}") for i in range(count))
    assert headline(Drift(changes)).endswith(end)


def test_the_edge_below_a_zero_of_its_own_is_shown_as_zero() -> None:
    values = np.concatenate([np.zeros(50), np.arange(1.0, 51)])
    frame = empty_bins(values)
    assert frame.edges[0] < 0
    ticks = [tick.get_text() for tick in shares("a", frame, frame).axes[0].get_xticklabels()]
    assert ticks[0] == "0" and len(ticks) == 5
