"""Many small tables become few row groups, whose rows are all there and in order."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.data import rowgroups
from tasks.data.rejects import SCHEMA, RejectsFile
from tasks.data.rowgroups import RowGroups

CODED = pa.schema([("n", pa.int64()), ("t", pa.dictionary(pa.int32(), pa.string()))])


def table(start: int, rows: int) -> pa.Table:
    numbers = range(start, start + rows)
    return pa.table({"n": numbers, "t": [f"text {number % 7}" for number in numbers]}).cast(CODED)


def groups(path: Path) -> list[int]:
    found = pq.read_metadata(path)
    return [found.row_group(number).num_rows for number in range(found.num_row_groups)]


def written(path: Path, *tables: pa.Table) -> pa.Table:
    writer = RowGroups(path, CODED, store_schema=False)
    for one in tables:
        writer.write_table(one)
    writer.close()
    writer.close()
    return pq.read_table(path)


def test_small_tables_share_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rowgroups, "GROUP_ROWS", 10)
    path = tmp_path / "a.parquet"
    found = written(path, table(0, 3), table(3, 0), table(3, 6), table(9, 2), table(11, 40), table(51, 1))
    assert groups(path) == [11, 40, 1]
    assert found["n"].to_pylist() == list(range(52))
    assert found["t"].to_pylist() == [f"text {number % 7}" for number in range(52)]


def test_large_rows_do_not_wait_for_many_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rowgroups, "GROUP_BYTES", 1000)
    written(tmp_path / "a.parquet", *(table(start, 40) for start in range(0, 160, 40)))
    assert groups(tmp_path / "a.parquet") == [80, 80], "a row has 12 bytes besides its texts"


def test_pieces_of_one_batch_do_not_count_its_whole_dictionary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rowgroups, "GROUP_BYTES", 20_000)
    texts = pa.array([f"{number:020}" for number in range(400)]).dictionary_encode()
    whole = pa.table({"n": range(400), "t": texts}, schema=CODED)
    found = written(tmp_path / "a.parquet", *(whole.slice(start, 10) for start in range(0, 400, 10)))
    assert groups(tmp_path / "a.parquet") == [400], "400 rows of 36 bytes; the dictionary has 9,600"
    assert found["t"].to_pylist() == texts.to_pylist()


def test_a_file_without_rows_has_its_columns(tmp_path: Path) -> None:
    assert written(tmp_path / "a.parquet").schema.names == ["n", "t"]


def test_rejects_of_many_batches_share_a_row_group(tmp_path: Path) -> None:
    one = pa.table([["in"], [1], ["c"], ["wrong type; null"], ["{}"]], schema=SCHEMA)
    with RejectsFile(tmp_path / "r.parquet") as rejects:
        for _ in range(5):
            rejects.add(one)
        rejects.add(one.slice(0, 0))
    assert groups(tmp_path / "r.parquet") == [5] and rejects.reasons == {"wrong type": 5}


def test_texts_are_written_by_distinct_values_where_they_repeat(tmp_path: Path) -> None:
    schema = pa.schema([("same", pa.string()), ("key", pa.string()), ("value", pa.float64()), ("n", pa.int64())])
    writer = RowGroups(tmp_path / "a.parquet", schema)
    keys = [f"row {n}" for n in range(100)]
    writer.write_table(pa.table([["a", "b"] * 50, keys, [0.5] * 100, list(range(100))], schema=schema))
    writer.close()
    columns = pq.read_metadata(tmp_path / "a.parquet").row_group(0)
    same, key, value, number = (columns.column(position) for position in range(4))
    assert same.has_dictionary_page and not (key.has_dictionary_page or value.has_dictionary_page)
    assert key.statistics.min == "row 0" and number.statistics.max == 99 and value.statistics is None
    assert pq.read_table(tmp_path / "a.parquet")["key"].to_pylist() == keys


def test_a_null_among_the_values_of_a_dictionary_is_written(tmp_path: Path) -> None:
    coded = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None], pa.int32()), pa.array(["a", None, "c"]))
    found = written(tmp_path / "a.parquet", pa.table({"n": range(4), "t": coded}, schema=CODED))
    assert found["t"].to_pylist() == ["a", None, "c", None]
