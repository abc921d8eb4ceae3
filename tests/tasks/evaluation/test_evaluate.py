import json
import warnings
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from models.errors import InputError
from models.modelfile import METRICS
from models.sections import Task
from tasks.evaluation.evaluate import Evaluation, evaluate
from tasks.evaluation.metrics import compute_metrics
from tasks.evaluation.plots import figures
from tasks.evaluation.report import ReportFacts, render_report
from tests.tasks.evaluation.cases import Case, as_category, cancer, diabetes, digits, make_case, unseen


def judge(case: Case, slices: tuple[str, ...] = ()) -> Evaluation:
    return evaluate(case.contract, case.predict, case.train, case.unseen, slices=slices, resamples=60, seed=0)


@pytest.fixture(scope="module")
def cancer_case() -> Case:
    return cancer()


@pytest.mark.parametrize("case", [cancer(), diabetes()])
def test_a_judgement_is_complete_and_deterministic(case: Case) -> None:
    found = judge(case)
    names = set(METRICS[case.contract.task])
    assert set(found.metrics) == set(found.intervals) == names
    assert found.metrics == compute_metrics(case.predict(case.test))
    assert [baseline.name for baseline in found.baselines] == ["dummy", "boosting"]
    assert all(set(baseline.metrics) >= names - {"r2"} for baseline in found.baselines)
    assert {part.column for part in found.importance} == {column.name for column in case.contract.columns}
    again = judge(case)
    assert found.intervals == again.intervals
    assert [baseline.metrics for baseline in found.baselines] == [baseline.metrics for baseline in again.baselines]
    assert found.importance == again.importance


def test_a_real_model_leads_the_dummy(cancer_case: Case) -> None:
    dummy = judge(cancer_case).baselines[0]
    assert dummy.lead.low > 0.3


def test_the_record_is_json_without_undefined_numbers(cancer_case: Case) -> None:
    record = judge(cancer_case).record()
    read = json.loads(json.dumps(record, allow_nan=False))
    assert read["metrics"]["roc_auc"] == record["metrics"]["roc_auc"]
    assert "scored" not in read
    assert set(read["baselines"][1]) == {"name", "rows", "seconds", "metrics", "lead"}


def test_slices_are_the_columns_asked_for(cancer_case: Case) -> None:
    assert {part.column for part in judge(cancer_case, ("mean radius",)).slices} == {"mean radius"}
    assert {part.column for part in judge(cancer_case).slices} == {"site", "<b>screened</b>"}


def test_an_unknown_slice_column_is_an_input_error(cancer_case: Case) -> None:
    with pytest.raises(InputError, match=r"evaluation\.slices: the data has no column 'sight'"):
        judge(cancer_case, ("sight",))


def test_no_test_rows_is_an_input_error(cancer_case: Case) -> None:
    case, nothing = cancer_case, cancer_case.unseen.scored.take(np.arange(0))
    test = unseen(case.contract, lambda _: nothing, case.test.slice(0, 0))
    with pytest.raises(InputError, match="no test rows"):
        evaluate(case.contract, case.predict, case.train, test)


def test_sample_weights_are_honoured() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=300)
    target = as_category(["yes" if v > 0 else "no" for v in x + generator.normal(size=300)])
    table = pa.table({"x": x, "weight": generator.uniform(0.1, 5, 300), "y": target})
    case = make_case(table, "y", "binary", ["no", "yes"])
    found = judge(case)
    assert found.scored.weight is not None
    plain = case.predict(case.test).take(np.arange(case.test.num_rows))
    assert found.metrics["accuracy"] == pytest.approx(
        np.average(plain.truth == plain.labels, weights=case.test["weight"].to_numpy())
    )
    assert found.baselines[1].scored.weight is not None


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_test_rows_that_all_weigh_nothing_leave_a_report_without_metrics(task: Task) -> None:
    x = np.random.default_rng(0).normal(size=300)
    target = x if task == "regression" else as_category(["yes" if v > 0 else "no" for v in x])
    table = pa.table({"x": x, "weight": np.ones(300), "y": target})
    case = make_case(table, "y", task, [] if task == "regression" else ["no", "yes"])
    test = case.test.set_column(1, "weight", pa.array(np.zeros(case.test.num_rows)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judged = replace(case, test=test).unseen
        found = evaluate(case.contract, case.predict, case.train, judged, slices=("x",), resamples=60)
        report = render_report(case.contract, found, figures(found), ReportFacts(rows={"test": test.num_rows}))
    assert found.metrics == found.intervals == {}
    assert "say how well" in report


def test_a_slice_of_weightless_rows_has_no_metrics() -> None:
    site = as_category([("north", "south")[i % 2] for i in range(300)])
    x = np.random.default_rng(0).normal(size=300)
    weight = np.where(np.arange(300) % 2, 0.0, 1.0)
    target = as_category(["yes" if v > 0 else "no" for v in x])
    case = make_case(pa.table({"x": x, "site": site, "weight": weight, "y": target}), "y", "binary", ["no", "yes"])
    north, south = sorted(judge(case, ("site",)).slices, key=lambda part: part.name)
    assert set(north.metrics) == set(METRICS["binary"])
    assert south.metrics == {}


def test_baselines_do_not_learn_from_weightless_rows() -> None:
    x = np.random.default_rng(0).normal(size=400)
    weight = np.where(np.arange(400) % 4, 1.0, 0.0)
    value = np.where(weight > 0, x, 1e9)
    table = pa.table({"x": x, "weight": weight, "y": value})
    case = make_case(table, "y", "regression")
    dummy, boosting = judge(case).baselines
    counted = int((case.train["weight"].to_numpy() > 0).sum())
    assert dummy.rows == boosting.rows == counted < case.train.num_rows


def test_values_of_a_sensitive_column_are_nowhere() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=300)
    town = as_category([("canary-one", "canary-two")[i % 2] for i in range(300)])
    table = pa.table({"x": x, "town": town, "y": as_category(["yes" if v > 0 else "no" for v in x])})
    found = judge(make_case(table, "y", "binary", ["no", "yes"], sensitive=["town"]), ("town",))
    assert [part.name for part in found.slices] == ["value 1", "value 2"]
    assert "canary" not in json.dumps(found.record())


def test_what_was_sampled_is_said(monkeypatch: pytest.MonkeyPatch, cancer_case: Case) -> None:
    monkeypatch.setattr("tasks.evaluation.bootstrap.MOST_ROWS_RESAMPLED", 100)
    monkeypatch.setattr("tasks.evaluation.importance.MOST_ROWS", 90)
    rows = cancer_case.test.num_rows
    case = cancer_case
    found = evaluate(case.contract, case.predict, case.train.slice(0, 50), case.unseen, train_rows=400)
    assert found.notes == (
        "Gradient boosting was trained on 50 of 400 training and validation rows.",
        f"Intervals are from 100 of {rows} test rows.",
        f"Importance was measured on 90 of {rows} test rows.",
    )


def test_ten_classes_of_64_columns_are_told_apart() -> None:
    case = digits()
    found = evaluate(case.contract, case.predict, case.train, case.unseen)
    assert found.metrics["accuracy"] > 0.9
    assert len(found.by_class) == 10
