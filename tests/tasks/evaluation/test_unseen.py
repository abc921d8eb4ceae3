"""Rows to judge on that come in pieces are judged as if they were all there, and few of the large ones ever are."""

import weakref
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from models.columns import KINDS
from tasks.evaluation.evaluate import evaluate
from tasks.evaluation.robustness import evaluate_shifts, gated_metrics
from tasks.evaluation.scored import Indices, Scored, joined, scored_classes
from tasks.evaluation.unseen import look_through, summarised
from tests.tasks.evaluation.cases import as_category, unseen
from tests.tasks.evaluation.samples import classified, regressed
from tests.tasks.evaluation.test_examples import CLASSES, SETTINGS, contract, table

ROWS = 240


def by_light(rows: pa.Table) -> Scored:
    """Right about dark pictures, and about others where the weight is even."""
    truth = np.array([CLASSES.index(name) for name in rows["fruit"].to_pylist()])
    light = np.frombuffer(b"".join(rows["picture"].to_pylist()), np.uint8).reshape(-1, 192).mean(axis=1)
    weight = np.nan_to_num(rows["weight"].to_numpy())
    labels = np.where((light < 127) | (weight % 2 == 0), truth, (truth + 1) % 3)
    probabilities = np.full((len(rows), 3), 0.2) + np.linspace(0, 0.01, 3)
    probabilities[np.arange(len(rows)), labels] += light / 255
    return scored_classes(truth, labels, probabilities / probabilities.sum(axis=1, keepdims=True))


def test_a_judgement_in_pieces_is_that_of_all_rows_at_once() -> None:
    rows = table(ROWS)
    judging, train = contract(rows), summarised(table(60), SETTINGS)
    at_once = unseen(judging, by_light, rows)
    pieces = look_through((rows.slice(at, 7) for at in range(0, ROWS, 7)), by_light, judging, at_once.take)
    assert len(pieces) == ROWS and pieces.table.to_pylist().__repr__() == at_once.table.to_pylist().__repr__()
    first, second = (evaluate(judging, by_light, train, test, resamples=20) for test in (at_once, pieces))
    for name in ("metrics", "intervals", "by_class", "slices", "importance", "robustness", "mistakes", "notes"):
        assert getattr(first, name) == getattr(second, name), name
    assert [b.metrics for b in first.baselines] == [b.metrics for b in second.baselines]
    assert first.importance and first.robustness and first.mistakes


def test_large_values_are_let_go_after_each_piece_and_only_few_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.evaluation.robustness.MOST_BYTES", 3_000)
    monkeypatch.setattr("tasks.evaluation.importance.MOST_BYTES", 9_000)
    rows, judging = table(ROWS), contract(table(ROWS))
    asked: list[int] = []

    def take(positions: Indices) -> pa.Table:
        asked.append(len(positions))
        return rows.take(pa.array(positions))

    seen: list[weakref.ref[pa.Table]] = []

    def pieces() -> Iterator[pa.Table]:
        for at in range(0, ROWS, 7):
            assert all(piece() is None for piece in seen[:-1]), "an earlier piece is still held"
            piece = rows.slice(at, 7).filter(pa.array(np.ones(min(7, ROWS - at), bool)))
            seen.append(weakref.ref(piece))
            yield piece

    test = look_through(pieces(), by_light, judging, take)
    assert not any(pa.types.is_fixed_size_binary(field.type) for field in test.table.schema)
    assert test.nbytes == pytest.approx(rows.nbytes, rel=0.05)
    evaluate(judging, by_light, summarised(rows.slice(0, 60), SETTINGS), test, resamples=20)
    gated_metrics(judging, by_light, test, ["accuracy_under_blur"], 0)
    assert len(asked) == 4 and max(asked) <= 12, "for importance, shifts, examples and gates"


def test_summaries_are_alike_in_any_pieces() -> None:
    rows = table(20)
    whole = summarised(rows, SETTINGS)
    pieces = pa.concat_tables([summarised(rows.slice(at, 3), SETTINGS) for at in range(0, 20, 3)])
    for name in ("picture", "sound", "channel"):
        expected = KINDS[SETTINGS[name].kind].summary(rows[name].combine_chunks(), SETTINGS[name])
        for found in (whole, pieces):
            np.testing.assert_array_equal(np.array(found[name].to_pylist(), np.float32), expected)
    assert whole["words"].equals(rows["words"])


def test_a_large_value_without_a_summary_is_a_missing_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(KINDS["image"]), "summary", lambda _, values, __: np.empty((len(values), 0), np.float32))
    assert np.isnan(summarised(table(4), {"picture": SETTINGS["picture"]})["picture"].to_pylist()).all()


def test_a_shift_of_the_sample_is_a_shift_of_the_rows_asked_for() -> None:
    rows, judging = table(ROWS), contract(table(ROWS))
    test = unseen(judging, by_light, rows)
    usual = evaluate_shifts(judging, by_light, test, ["accuracy"], 0)[0]
    assert (usual.rows, usual.usual) == (ROWS, {"accuracy": float((test.scored.truth == test.scored.labels).mean())})


@pytest.mark.parametrize("scored", [classified(90, 3, weighted=True), classified(90), regressed(90, weighted=True)])
def test_joined_parts_are_the_whole(scored: Scored) -> None:
    again = joined([scored.take(np.arange(90) // 40 == part) for part in range(3)])
    for name in ("truth", "labels", "probabilities", "values", "weights"):
        np.testing.assert_array_equal(getattr(again, name), getattr(scored, name))
    assert (again.weight is None) == (scored.weight is None)


def test_a_category_of_several_pieces_is_one() -> None:
    rows = table(4)
    pieces = [rows.set_column(7, "fruit", as_category([name] * 4)) for name in CLASSES]
    test = look_through([p.select([*SETTINGS, "fruit"]) for p in pieces], by_light, contract(rows), rows.take)
    assert test.table["fruit"].to_pylist() == [name for name in CLASSES for _ in range(4)]
