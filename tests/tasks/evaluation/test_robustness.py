"""Metrics under named shifts: on the same rows, of all columns that a shift applies to, the same at every call."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from models.columns import KINDS
from models.contract import Contract
from models.sections import Task
from tasks.evaluation import robustness
from tasks.evaluation.robustness import evaluate_shifts, gated_metrics, known_shifts
from tasks.evaluation.scored import Scored, scored_classes, scored_values
from tests.contracts import contract_of
from tests.tasks.evaluation.cases import unseen

ROWS = 40


def contract_with(task: Task = "binary", **kinds: str) -> Contract:
    columns = {name: KINDS[kind].settings() for name, kind in kinds.items()}
    return contract_of(columns, task, classes=("no", "yes") if task == "binary" else ())


TEXTS = contract_with(word="text", n="number")
TABLE = pa.table({"word": ["yes", "no"] * (ROWS // 2), "n": np.arange(ROWS, dtype=float), "y": [1, 0] * (ROWS // 2)})


def by_case(table: pa.Table) -> Scored:
    """A model that knows "yes" in small letters only."""
    said = np.asarray(pc.equal(table["word"], "yes")).astype(np.int64)
    return scored_classes(table["y"].to_numpy(), said, np.stack([1 - said, said], axis=1).astype(float))


def test_what_a_shift_costs_is_told_beside_the_usual() -> None:
    """In capitals every row is a "no", which half of them are; numbers don't matter to this model."""
    found = {
        shifted.shift: shifted
        for shifted in evaluate_shifts(TEXTS, by_case, unseen(TEXTS, by_case, TABLE), ["accuracy"], seed=0)
    }
    assert set(found) == {"typing_errors", "upper_case", "sensor_bias"}
    upper = found["upper_case"]
    assert (upper.columns, upper.rows, upper.usual, upper.metrics) == (
        ("word",),
        ROWS,
        {"accuracy": 1.0},
        {"accuracy": 0.5},
    )
    assert found["sensor_bias"].columns == ("n",) and found["sensor_bias"].metrics == {"accuracy": 1.0}


def test_a_shift_changes_all_columns_it_applies_to_and_no_other() -> None:
    seen: list[pa.Table] = []

    def watching(table: pa.Table) -> Scored:
        seen.append(table)
        return scored_values(table["y"].to_numpy().astype(float), table["a"].to_numpy())

    contract = contract_with("regression", a="number", w="text", b="number")
    table = pa.table({"a": [0.0, 2.0], "w": ["x", "z"], "b": pa.array([None, 5.0]), "y": [0, 2]})
    judged = unseen(contract, watching, table)
    seen.clear()
    found = next(f for f in evaluate_shifts(contract, watching, judged, ["mae"], 0) if f.shift == "sensor_bias")
    usual, shifted = seen[0], next(s for s in seen[1:] if s["w"].equals(table["w"]))
    assert usual.equals(table)
    assert shifted.drop_columns(["a", "b"]).equals(table.drop_columns(["a", "b"]))
    assert shifted["a"].to_pylist() == [0.5, 2.5], "half of the standard deviation, which is 1"
    assert shifted["b"].to_pylist() == [None, 5.0]
    assert (found.usual, found.metrics) == ({"mae": 0}, {"mae": pytest.approx(0.5)})


def test_a_biased_sensor_stays_within_the_limits_of_its_column() -> None:
    settings = KINDS["number"].settings(max=2)
    biased = KINDS["number"].shifts["sensor_bias"](pa.array([0.0, 2.0, None]), settings, np.random.default_rng(0))
    assert biased.to_pylist() == [0.5, 2.0, None]


def test_every_shift_is_told_in_words() -> None:
    shifts = [shift for kind in KINDS.values() for shift in kind.shifts.values()]
    assert len(shifts) > 9 and all(shift.words for shift in shifts)


@pytest.mark.parametrize("seed", [0, 1])
def test_shifts_are_the_same_at_every_call(seed: int) -> None:
    first, again = (
        evaluate_shifts(TEXTS, by_case, unseen(TEXTS, by_case, TABLE), ["accuracy"], seed) for _ in range(2)
    )
    assert first == again


def test_of_many_rows_a_sample_is_shifted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robustness, "MOST_ROWS", 10)
    assert {s.rows for s in evaluate_shifts(TEXTS, by_case, unseen(TEXTS, by_case, TABLE), ["accuracy"], 0)} == {10}
    monkeypatch.setattr(robustness, "MOST_BYTES", TABLE.nbytes // 8 + 1)
    assert {s.rows for s in evaluate_shifts(TEXTS, by_case, unseen(TEXTS, by_case, TABLE), ["accuracy"], 0)} == {
        ROWS // 8
    }
    monkeypatch.setattr(robustness, "MOST_BYTES", 1)
    assert {s.rows for s in evaluate_shifts(TEXTS, by_case, unseen(TEXTS, by_case, TABLE), ["accuracy"], 0)} == {1}


def test_without_rows_or_kinds_that_shift_there_is_nothing_to_tell() -> None:
    assert evaluate_shifts(TEXTS, by_case, unseen(TEXTS, by_case, TABLE.slice(0, 0)), ["accuracy"], 0) == []
    assert (
        evaluate_shifts(
            contract_with(c="category"), by_case, unseen(contract_with(c="category"), by_case, TABLE), ["accuracy"], 0
        )
        == []
    )
    assert known_shifts(contract_with(c="category", b="boolean")) == {}


def test_every_kind_of_large_values_has_shifts() -> None:
    found = known_shifts(contract_with(t="text", p="image", a="audio", s="series", n="number"))
    assert {"typing_errors", "blur", "noise", "sensor_bias"} <= set(found)
    assert [column.name for column in found["sensor_bias"]] == ["s", "n"]


def test_gates_are_measured_by_metric_and_shift() -> None:
    gates = ["accuracy", "accuracy_under_upper_case", "recall_under_upper_case", "accuracy_under_sensor_bias"]
    assert gated_metrics(TEXTS, by_case, unseen(TEXTS, by_case, TABLE), gates, 0) == {
        "accuracy_under_upper_case": 0.5,
        "recall_under_upper_case": 0.0,
        "accuracy_under_sensor_bias": 1.0,
    }


def test_gates_that_the_columns_can_not_be_put_under_are_left_out() -> None:
    assert gated_metrics(TEXTS, by_case, unseen(TEXTS, by_case, TABLE), ["accuracy_under_blur"], 0) == {}
    assert (
        gated_metrics(TEXTS, by_case, unseen(TEXTS, by_case, TABLE.slice(0, 0)), ["accuracy_under_upper_case"], 0) == {}
    )
    assert gated_metrics(TEXTS, by_case, unseen(TEXTS, by_case, TABLE), ["accuracy"], 0) == {}
