"""A row passes whole or is one reject with all its reasons; each input row ends exactly once."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.columns import KINDS, ColumnSettings
from models.errors import InputError
from tasks.data.batches import Malformed, RawBatch
from tasks.data.checks import check_batch, require_columns, require_types
from tasks.data.rejects import SCHEMA, RejectsFile, count_reasons, hashed, raw_values


def settings(kind: str, **given: object) -> ColumnSettings:
    made: ColumnSettings = KINDS[kind].settings(**given)
    return made


def batch(*malformed: Malformed, **columns: list[object]) -> RawBatch:
    table = pa.table(columns)
    numbers = np.setdiff1d(np.arange(1, len(table) + len(malformed) + 1), [bad.row for bad in malformed])
    return RawBatch("f.csv", numbers.astype(np.int64), table, malformed)


COLUMNS = {"n": settings("number", min=0, max=10), "c": settings("category"), "b": settings("boolean")}


def test_good_rows_pass_in_their_kinds_types() -> None:
    checked = check_batch(batch(n=["1", "?", " 2.5 "], c=["x", "", "y"], b=["yes", "0", "?"]), COLUMNS, ("?",))
    assert checked.table.to_pydict() == {"n": [1.0, None, 2.5], "c": ["x", None, "y"], "b": [True, False, None]}
    assert [field.type for field in checked.table.schema] == [
        KINDS[k].arrow_type(KINDS[k].settings()) for k in ("number", "category", "boolean")
    ]
    assert (checked.rows.tolist(), len(checked.rejects)) == ([1, 2, 3], 0)
    assert checked.rejects.schema == SCHEMA


def test_a_bad_row_is_one_reject_with_all_reasons() -> None:
    checked = check_batch(
        batch(n=["1", "eleven", "11", "inf"], c=list("wxyz"), b=["1", "maybe", "1", "1"]), COLUMNS, ()
    )
    assert checked.rows.tolist() == [1]
    assert checked.rejects.select(["source", "row", "column", "reason"]).to_pylist() == [
        {"source": "f.csv", "row": 2, "column": "n; b", "reason": "wrong type; wrong type"},
        {"source": "f.csv", "row": 3, "column": "n", "reason": "out of range"},
        {"source": "f.csv", "row": 4, "column": "n", "reason": "not finite"},
    ]
    assert json.loads(checked.rejects["values"][0].as_py()) == {"n": "eleven", "c": "x", "b": "maybe"}


def test_malformed_rows_are_rejects_with_their_text() -> None:
    checked = check_batch(batch(Malformed(2, "1,2,3", "wrong number of fields"), n=["1", "2"]), {"n": COLUMNS["n"]}, ())
    assert checked.rows.tolist() == [1, 3]
    assert checked.rejects.to_pylist() == [
        {"source": "f.csv", "row": 2, "column": "", "reason": "wrong number of fields", "values": '{"text": "1,2,3"}'}
    ]


def test_a_sensitive_value_is_found_nowhere() -> None:
    columns = {"n": COLUMNS["n"], "name": settings("category", sensitive=True)}
    raw = batch(Malformed(3, "canary,1,2", "wrong number of fields"), n=["x", "1"], name=["canary", "canary"])
    text = str(check_batch(raw, columns, ()).rejects.to_pylist())
    assert "canary" not in text
    assert f"sha256:{hashlib.sha256(b'canary').hexdigest()[:12]}" in text


def test_missing_columns_are_all_named_with_near_matches() -> None:
    with pytest.raises(InputError) as caught:
        check_batch(batch(Age=["1"], city=["x"]), {"age": COLUMNS["n"], "town": COLUMNS["c"]}, ())
    assert list(caught.value.problems) == [
        "f.csv: no column 'age'; did you mean 'Age'?",
        "f.csv: no column 'town'; known are Age, city",
    ]


def test_many_present_columns_are_not_all_listed() -> None:
    with pytest.raises(InputError, match=r"known are c0, .* c9 and others"):
        require_columns(["zzz"], [f"c{i}" for i in range(20)], "f")


def test_an_unseen_category_is_no_reject() -> None:
    assert len(check_batch(batch(c=["never seen before"]), {"c": COLUMNS["c"]}, ()).rejects) == 0


def test_an_empty_batch_passes() -> None:
    checked = check_batch(batch(n=[], c=[], b=[]), COLUMNS, ())
    assert (len(checked.table), len(checked.rejects)) == (0, 0)


CELL = st.one_of(st.none(), st.floats(), st.integers(-(2**60), 2**60))
TEXT = st.one_of(st.none(), st.text(max_size=5), st.sampled_from(["1", "nan", "-inf", "1e400", "?", "true", " 7 "]))


@given(st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=30))
def test_each_row_ends_exactly_once(rows: list[tuple[str | None, str | None, str | None]]) -> None:
    columns = {name: pa.array([row[i] for row in rows], pa.string()) for i, name in enumerate("ncb")}
    raw = RawBatch("f", np.arange(1, len(rows) + 1), pa.table(columns))
    checked = check_batch(raw, COLUMNS, ("?",))
    ended = sorted([*checked.rows.tolist(), *checked.rejects["row"].to_pylist()])
    assert ended == list(range(1, len(rows) + 1))
    assert len(checked.table) == len(checked.rows)


@given(st.lists(CELL, max_size=20))
def test_numbers_of_any_size_are_accepted_or_rejected_never_altered(cells: list[float | int | None]) -> None:
    array = pa.array([None if cell is None else float(cell) for cell in cells], pa.float64())
    raw = RawBatch("f", np.arange(1, len(cells) + 1), pa.table({"n": array}))
    checked = check_batch(raw, {"n": settings("number")}, ())
    kept = dict(zip(checked.rows.tolist(), checked.table["n"].to_pylist(), strict=True))
    for row, cell in enumerate(cells, 1):
        finite = cell is not None and abs(float(cell)) <= float(np.finfo(np.float32).max)
        if cell is None or cell != cell:
            assert kept[row] is None
        else:
            assert (row in kept) == finite
            assert not finite or kept[row] == float(cell)


def test_reasons_are_counted_by_the_first() -> None:
    assert count_reasons(pa.table({"reason": ["x; y", "x", "z"]})) == {"x": 2, "z": 1}
    assert count_reasons(SCHEMA.empty_table()) == {}


def test_raw_values_are_json_whatever_they_are() -> None:
    table = pa.table(
        {"f": [float("inf"), 1.5], "d": [[1], None], "t": ["x" * 5000, "ä"], "i": [1, None], "b": [True, None]}
    )
    first, second = (json.loads(text) for text in raw_values(table, ()))
    assert (first["f"], first["d"], len(first["t"]), first["i"], first["b"]) == ("inf", "[1]", 1000, 1, True)
    assert second == {"f": 1.5, "d": None, "t": "ä", "i": None, "b": None}
    assert hashed(None) is None


def test_a_rejects_file_counts_what_it_was_given(tmp_path: Path) -> None:
    checked = check_batch(batch(n=["x", "11", "1"]), {"n": COLUMNS["n"]}, ())
    with RejectsFile(tmp_path / "r.parquet") as rejects:
        rejects.add(checked.rejects)
        rejects.add(SCHEMA.empty_table())
    assert rejects.total == 2
    assert dict(rejects.reasons) == {"wrong type": 1, "out of range": 1}


def test_a_dictionary_is_as_readable_as_what_it_holds() -> None:
    schema = pa.schema([("n", pa.dictionary(pa.int32(), pa.string())), ("b", pa.dictionary(pa.int32(), pa.binary()))])
    require_types(schema, {"n": settings("number")}, "f")
    with pytest.raises(InputError, match="column 'b' holds binary"):
        require_types(schema, {"b": settings("number")}, "f")
