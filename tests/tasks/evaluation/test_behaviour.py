"""Behaviour tests on models whose answers can be worked out in the head."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from models.behaviour import Behaviour
from models.columns import KINDS
from models.contract import Contract
from models.sections import Promotion
from tasks.evaluation import behaviour
from tasks.evaluation.behaviour import Behaved, change_rows, try_behaviour
from tasks.evaluation.scored import Scored, scored_classes, scored_values
from tasks.evaluation.unseen import Predict
from tasks.registry.gates import Evidence, judge, judge_floors
from tests.contracts import contract_of
from tests.tasks.evaluation.cases import unseen

ROWS = 100
NUMBERS = contract_of({"x": KINDS["number"].settings(max=120), "z": KINDS["number"].settings()}, "regression")
TABLE = pa.table(
    {"x": np.arange(float(ROWS)), "z": np.ones(ROWS), "perennial.split.id": [f"k{i}" for i in range(ROWS)]}
)
PAIR = contract_of(
    {"word": KINDS["text"].settings(), "shop": KINDS["category"].settings()}, "binary", classes=("no", "yes")
)


def direction(**more: Any) -> Behaviour:
    return Behaviour(name="b", kind="direction", **more)


def invariance(**more: Any) -> Behaviour:
    return Behaviour(name="b", kind="invariance", **more)


def by_x(table: pa.Table) -> Scored:
    """A regression that says x, but falls by 1 a unit from 90 on."""
    x = table["x"].to_numpy()
    return scored_values(np.zeros(len(x)), np.where(x < 90, x, 180 - x))


def run(contract: Contract, predict: Predict, table: pa.Table, test: Behaviour, key: tuple[str, ...] = ()) -> Behaved:
    (found,) = try_behaviour(contract, predict, unseen(contract, predict, table), [test], key, 0)
    return found


def test_a_push_must_move_the_score_the_expected_way() -> None:
    """Adding 10 lifts what is below 90, and falls again behind it: from x = 86 on it ends lower than it began."""
    found = run(NUMBERS, by_x, TABLE, direction(add={"x": 10}, expect="up"))
    assert (found.rows, found.held) == (ROWS, 86)
    down = run(NUMBERS, by_x, TABLE, direction(add={"x": 10}, expect="down"))
    # Exactly at 85 nothing moves, which is not the wrong way.
    assert (down.rows, down.held) == (ROWS, ROWS - 85)
    expected = [10] * 81 + [170 - 2 * x for x in range(81, 90)] + [-10] * 10
    assert found.moved == pytest.approx(np.mean(expected))


def test_the_worst_row_is_told_by_its_key_or_its_number() -> None:
    test = direction(add={"x": 10}, expect="up")
    assert run(NUMBERS, by_x, TABLE, test, ("id",)).example == "the row with id = k90: 90 became 80"
    assert run(NUMBERS, by_x, TABLE, test).example == "unseen row 91: 90 became 80"


def test_a_sensitive_key_is_not_told() -> None:
    hidden = NUMBERS.model_copy(update={"sensitive_columns": ("id",)})
    assert run(hidden, by_x, TABLE, direction(add={"x": 10}, expect="up"), ("id",)).example.startswith("unseen row 91:")


def test_predictions_of_a_sensitive_target_are_not_told() -> None:
    hidden = NUMBERS.model_copy(update={"sensitive_columns": ("y",)})
    assert run(hidden, by_x, TABLE, direction(add={"x": 10}, expect="up"), ("id",)).example == "the row with id = k90"


def test_a_tolerance_forgives_a_small_step_the_wrong_way() -> None:
    assert run(NUMBERS, by_x, TABLE, direction(add={"x": 10}, expect="up", tolerance=10)).held == ROWS


def test_rows_that_would_be_rejected_or_do_not_change_are_not_judged() -> None:
    """x may be 120 at most, so that adding 60 leaves 0 to 60; z is 1 everywhere."""
    assert run(NUMBERS, by_x, TABLE, direction(add={"x": 60}, expect="up")).rows == 61
    assert run(NUMBERS, by_x, TABLE, invariance(set={"z": 1}, tolerance=0.1)) == Behaved(
        invariance(set={"z": 1}, tolerance=0.1), 0, 0
    )
    missing = TABLE.set_column(0, "x", pa.array([None, 1.0] * (ROWS // 2)))
    assert run(NUMBERS, lambda t: scored_values(np.zeros(len(t)), np.zeros(len(t))), missing,
               invariance(add={"x": 1}, tolerance=0)).rows == ROWS // 2  # fmt: skip


def test_a_value_may_move_within_the_tolerance() -> None:
    assert run(NUMBERS, by_x, TABLE, invariance(add={"x": 1}, tolerance=1.0)).held == ROWS
    assert run(NUMBERS, by_x, TABLE, invariance(add={"x": 1}, tolerance=0.9)).held == 0
    assert run(NUMBERS, by_x, TABLE, invariance(set={"z": 5}, tolerance=0)).held == ROWS


WORDS = pa.table({"word": ["yes please", "no"] * 50, "shop": pa.array(["a", "b"] * 50).dictionary_encode()})


def by_word(table: pa.Table) -> Scored:
    """A model that looks for "yes", and is a little surer in shop a."""
    said = np.asarray(pc.match_substring(table["word"], "yes")).astype(np.int64)
    in_a = np.asarray(pc.equal(table["shop"].cast(pa.string()), "a")).astype(float)
    sure = np.where(said == 1, 0.8, 0.2) + 0.1 * in_a
    return scored_classes(said, said, np.stack([1 - sure, sure], axis=1))


def test_labels_stay_the_same_where_no_tolerance_is_given() -> None:
    assert run(PAIR, by_word, WORDS, invariance(replace={"shop": {"a": "b"}})).held == 50
    assert run(PAIR, by_word, WORDS, invariance(replace={"shop": {"a": "b"}}, tolerance=0.05)).held == 0
    found = run(PAIR, by_word, WORDS, invariance(replace={"word": {"yes": "aye"}}))
    assert (found.rows, found.held, found.example) == (50, 0, "unseen row 1: yes (0.9000) became no (0.3000)")


def test_words_are_replaced_within_texts_and_values_as_a_whole() -> None:
    table, changed = change_rows(
        PAIR, WORDS, invariance(replace={"word": {"please": "now"}, "shop": {"a": "c", "b": "b"}}), 0
    )
    assert table["word"].to_pylist()[:2] == ["yes now", "no"]
    assert table["shop"].to_pylist()[:2] == ["c", "b"]
    assert changed.tolist()[:2] == [True, False]
    swapped, _ = change_rows(PAIR, WORDS, invariance(replace={"shop": {"a": "b", "b": "a"}}), 0)
    assert swapped["shop"].to_pylist()[:2] == ["b", "a"]


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("he told her", {"he": "she", "her": "him", "him": "her"}, "she told him"),
        ("cheap, heat; He", {"he": "she"}, "cheap, heat; He"),
        ("not good, good", {"good": "bad", "not good": "poor"}, "poor, bad"),
        ("a+b (x)", {"+": " plus ", "(x)": r"\1"}, r"a plus b \1"),
        ("黒猫が好き", {"猫": "犬"}, "黒犬が好き"),
        ("as it was", {"": "!"}, "as it was"),
    ],
)
def test_words_of_a_text_change_places_and_parts_of_longer_words_stay(
    text: str, words: dict[str, str], expected: str
) -> None:
    table = pa.table({"word": [text, None], "shop": pa.array(["a", "b"]).dictionary_encode()})
    found, changed = change_rows(PAIR, table, invariance(replace={"word": words}), 0)
    assert found["word"].to_pylist() == [expected, None]
    assert changed.tolist() == [text != expected, False]


def test_words_and_seconds_are_added_and_values_go_missing() -> None:
    contract = contract_of({"w": KINDS["text"].settings(), "t": KINDS["datetime"].settings()}, "regression")
    table = pa.table({
        "w": ["a", None], "t": pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * 2, pa.timestamp("us", tz="UTC")),
    })  # fmt: skip
    found, _ = change_rows(contract, table, invariance(add={"w": "!", "t": 1.5}), 0)
    assert found["w"].to_pylist() == ["a!", None]
    assert found["t"].to_pylist() == [datetime(2024, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)] * 2
    gone, changed = change_rows(contract, table, invariance(set={"w": "", "t": ""}), 0)
    assert gone["w"].to_pylist() == gone["t"].to_pylist() == [None, None]
    assert changed.tolist() == [True, True]


def test_a_named_shift_is_a_change_too() -> None:
    found = run(PAIR, by_word, WORDS, invariance(under="upper_case"))
    assert (found.rows, found.held) == (ROWS, 50)


def test_the_score_of_a_named_class_is_looked_at() -> None:
    contract = contract_of({"x": KINDS["number"].settings()}, "multiclass", classes=("a", "b", "c"))

    def predict(table: pa.Table) -> Scored:
        p = table["x"].to_numpy() / 1000
        return scored_classes(
            np.zeros(len(p), dtype=np.int64), np.full(len(p), 2), np.stack([p, 0.3 - p, np.full(len(p), 0.7)], 1)
        )

    held = {name: run(contract, predict, TABLE.select(["x"]), direction(add={"x": 10}, expect="up", of=name)).held
            for name in "abc"}  # fmt: skip
    assert held == {"a": ROWS, "b": 0, "c": ROWS}
    unknown = run(contract, predict, TABLE.select(["x"]), direction(add={"x": 10}, expect="up", of="d"))
    assert (unknown.rows, unknown.obstacle) == (0, "the class 'd' is unknown to the version")


def test_many_rows_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behaviour, "MOST_ROWS", 30)
    assert run(NUMBERS, by_x, TABLE, invariance(set={"z": 2}, tolerance=0)).rows == 30


def outcome(rows: int, held: int, moved: float = 0.1, **more: Any) -> tuple[str, str]:
    test = direction(add={"x": 1}, expect="up", **more)
    evidence = Evidence(
        by_x(TABLE), None, behaviour=[Behaved(test, rows, held, moved, "the row with id = 3: 1 became 0")]
    )
    verdict = judge(evidence, {}, Promotion(min_rows=50))
    return verdict.outcome, verdict.checks[-1].text


def test_the_verdict_names_the_test_the_share_and_an_example() -> None:
    assert outcome(1000, 950) == ("yes", "'b' holds for 95 % of 1,000 rows, as required at least 95 %")
    assert outcome(100_000, 94_999) == (
        "no",
        "'b' holds for 94.99 % of 100,000 rows, but must for at least 95 %; the row with id = 3: 1 became 0",
    )


def test_a_push_that_moves_nothing_is_no_push() -> None:
    for moved in (0.0, -0.1):
        said = "'b' holds for 100 % of 40 rows, as required at least 95 %, but on average the score does not go up"
        assert outcome(40, 40, moved) == ("no", said)


def test_too_few_changed_rows_are_undecided() -> None:
    found, text = outcome(29, 0)
    assert (found, text) == (
        "undecided",
        "'b' can't be judged: its change changes 29 of these rows; a judgement needs 30",
    )


def test_the_report_has_the_tests_too() -> None:
    (check,) = judge_floors(by_x(TABLE), {}, {}, [Behaved(invariance(set={"x": 1}), 50, 50)])
    assert (check.gate, check.outcome) == ("behaviour b", "yes")
