import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from models.modelfile import METRICS
from models.sections import Cost
from tasks.evaluation.bootstrap import Interval
from tasks.evaluation.evaluate import Evaluation, evaluate
from tasks.evaluation.metrics import ClassRow
from tasks.evaluation.plots import figures
from tasks.evaluation.report import GateFacts, ReportFacts, TrainingFacts, _metric_rows, render_report
from tasks.evaluation.wording import FIGURES, MEANINGS, earns_its_keep, headline, show, show_time
from tests.tasks.evaluation.cases import Case, cancer, diabetes, digits

FACTS = ReportFacts(
    rows={"train": 300, "validation": 60, "test": 190},
    sources=["/data/<plant>.parquet"],
    rejects={"wrong type": 3, "out of range": 12},
    training=TrainingFacts(3, 2, 12.3, 182_345, (0.9, 0.5, 0.4), (0.8, 0.6, 0.7)),
    cost=Cost(false_alarm=1, miss=20),
    gates=[
        GateFacts("roc_auc", True, "0.98 is at least 0.9"),
        GateFacts("brier", False, "too high"),
        GateFacts("f1", None, "no rows"),
    ],
    made="2026-11-23",
    versions={"git commit": "abc"},
)


@pytest.fixture(scope="module")
def case() -> Case:
    return cancer()


@pytest.fixture(scope="module")
def judged(case: Case) -> Evaluation:
    return evaluate(case.contract, case.predict, case.train, case.unseen, resamples=60)


@pytest.fixture(scope="module")
def report(case: Case, judged: Evaluation) -> str:
    return render_report(case.contract, judged, figures(judged, (0.9, 0.5), (0.8, 0.6), 2), FACTS)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_report_loads_nothing_and_runs_nothing(report: str) -> None:
    tags = Tags()
    tags.feed(report)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in tags.found}
    links = [value for _, attrs in tags.found for key, value in attrs.items() if key in ("src", "href", "xlink:href")]
    assert links
    assert all(str(link).startswith(("#", "data:")) for link in links)
    assert not re.search(r"@import|url\((?!#|\"?data:)", report)


def test_names_are_escaped(report: str) -> None:
    assert "<b>screened</b>" not in report
    assert "&lt;b&gt;screened&lt;/b&gt;" in report
    assert "/data/&lt;plant&gt;.parquet" in report


def test_every_part_is_there(report: str, case: Case, judged: Evaluation) -> None:
    for section in ("metrics", "decisions", "figures", "classes", "slices", "gates", "data", "identity"):
        assert f'<section id="{section}">' in report
    assert case.contract.graph_sha256 in report
    assert case.contract.snapshot in report
    assert show(judged.metrics["roc_auc"]) in report
    assert show(judged.baselines[1].metrics["roc_auc"]) in report
    assert report.count("<svg") == 7
    for text in ("182,345", "out of range", "undecided", "failed", "passed"):
        assert text in report


def test_decisions_are_priced_per_thousand_rows(report: str, judged: Evaluation) -> None:
    scored = judged.scored
    misses = 1000 * np.mean((scored.truth == 1) & (scored.labels == 0))
    alarms = 1000 * np.mean((scored.truth == 0) & (scored.labels == 1))
    assert f"<b>{20 * misses + alarms:,.1f}</b>" in report
    assert f"<b>{20 * 1000 * np.mean(scored.truth == 1):,.1f}</b>" in report


def test_a_bare_regression_report_renders() -> None:
    case = diabetes()
    judged = evaluate(case.contract, case.predict, case.train, case.unseen, resamples=50)
    report = render_report(case.contract, judged, figures(judged), ReportFacts(rows={"test": 156}))
    for section in ("decisions", "classes", "gates"):
        assert f'id="{section}"' not in report
    assert "typical error of" in headline("progression", judged)


def test_many_classes_show_the_most_frequent(case: Case, judged: Evaluation) -> None:
    rows = tuple(ClassRow(f"kind-{i}", i, 0.5, 0.5, 0.5, 0.5, 0.5) for i in range(50))
    report = render_report(case.contract, replace(judged, by_class=rows), {}, FACTS)
    assert "The 40 most frequent of 50 classes." in report
    assert ">kind-49<" in report
    assert ">kind-9<" not in report


def test_the_headline_says_what_how_well_and_against_what(judged: Evaluation) -> None:
    text = headline("outcome", judged)
    assert "“outcome” = “malignant”" in text
    assert f"{judged.rows} rows it had never seen" in text
    assert show(judged.baselines[1].metrics["average_precision"]) in text


def test_the_headline_of_several_classes_is_a_share() -> None:
    case = digits()
    judged = evaluate(case.contract, case.predict, case.train.slice(0, 300), case.unseen, resamples=50)
    assert f"is right on {100 * judged.metrics['accuracy']:.1f} %" in headline("digit", judged)


def test_the_headline_admits_that_rows_cannot_say(judged: Evaluation) -> None:
    assert "can't say how well" in headline("outcome", replace(judged, metrics={}))


@pytest.mark.parametrize(
    ("low", "high", "mark", "text"),
    [
        (0.01, 0.03, "good", "earns its keep"),
        (-0.01, 0.03, "even", "can't be told apart"),
        (-0.03, -0.01, "bad", "Consider it instead"),
        (np.nan, np.nan, "even", "can't tell"),
    ],
)
def test_the_lead_over_boosting_decides_what_is_said(
    judged: Evaluation, low: float, high: float, mark: str, text: str
) -> None:
    boosting = replace(judged.baselines[1], lead=Interval(low, high, (low + high) / 2))
    found = earns_its_keep(replace(judged, baselines=(boosting,)))
    assert found[0] == mark
    assert text in found[1]


def test_a_network_behind_is_said_to_be_lower(judged: Evaluation) -> None:
    boosting = replace(judged.baselines[1], lead=Interval(-0.02, 0.01, -0.008))
    text = earns_its_keep(replace(judged, baselines=(boosting,)))[1]
    assert "average precision is lower by 0.008 than gradient boosting's (95 % interval −0.020 to +0.010" in text
    error = earns_its_keep(replace(judged, baselines=(boosting,), primary="rmse"))[1]
    assert "higher by 0.008 than" in error


@pytest.mark.parametrize(("seconds", "said"), [(12.3, "12 s"), (263, "4 min 23 s"), (7500, "2 h 5 min")])
def test_durations_are_in_units_that_people_use(seconds: float, said: str) -> None:
    assert show_time(seconds) == said


def test_guessing_is_never_marked_as_best(judged: Evaluation) -> None:
    dummy = replace(judged.baselines[0], metrics=dict.fromkeys(judged.metrics, 1.0))
    rows = _metric_rows(replace(judged, baselines=(dummy, judged.baselines[1])))
    assert not any(row["columns"][2][1] for row in rows)
    assert all(row["columns"][0][1] or row["columns"][1][1] for row in rows)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),
        (np.nan, "–"),
        (0.0, "0.000"),
        (0.98765, "0.988"),
        (-1.5, "−1.500"),
        (55.504, "55.50"),
        (12345.6, "12,346"),
        (0.00012, "0.00012"),
        (2.5e7, "2.5e+07"),
    ],
)
def test_numbers_are_shown_short(value: float | None, expected: str) -> None:
    assert show(value) == expected


def test_every_metric_has_a_meaning() -> None:
    assert set(MEANINGS) == {name for names in METRICS.values() for name in names}
    assert "roc" in FIGURES
