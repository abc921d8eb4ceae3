"""Ingestion: what is kept, what is set aside, and that nothing is written twice or half."""

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import InputError, OutsideError
from tasks.data import parts, snapshot
from tasks.data.snapshot import ingest, open_snapshot
from tests.tasks.data.conftest import Make
from tests.tasks.data.ingested import COLUMNS, write


def files_beneath(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_rows_are_stored_in_their_types_with_their_origin(tmp_path: Path, make: Make) -> None:
    path = write(
        tmp_path / "a.csv",
        x=["1", "?"],
        c=["u", "v"],
        y=["no", "yes"],
        w=[1, 0.5],
        k=["1", "2"],
        t=["2024-01-01", "2024-01-02T03:00Z"],
    )
    model_file = make(COLUMNS, rest='[split]\nkey = "k"\ntime = "t"\n[training]\nweight = "w"')
    result = ingest(model_file, tmp_path)
    kept = open_snapshot(result.manifest)
    assert kept.table().to_pylist()[1] == {
        "x": None, "c": "v", "y": "yes", "w": 0.5, "perennial.split.k": "2",
        "perennial.split.t": pd.Timestamp("2024-01-02T03:00Z"), "perennial.row": 2,
        "perennial.source": f"{tmp_path}/*.csv", "perennial.file": str(path),
    }  # fmt: skip
    assert kept.table().schema.field("y").type == pa.dictionary(pa.int32(), pa.string())
    assert (kept.rows, kept.task, kept.manifest.classes) == (2, "binary", {"no": 1, "yes": 1})
    assert sum(len(batch) for batch in kept.batches(["x"])) == 2


def test_unchanged_data_makes_nothing_new(tmp_path: Path, make: Make) -> None:
    path = write(tmp_path / "a.csv", x=range(10), c=list("abcdefghij"), y=[0, 1] * 5)
    model_file = make(COLUMNS)
    first = ingest(model_file, tmp_path / "home")
    before = files_beneath(tmp_path / "home")
    path.write_text(path.read_text().replace("\n", "\r\n"))
    second = ingest(model_file, tmp_path / "home")
    assert (second.digest, second.unchanged, second.new_parts) == (first.digest, True, 0)
    assert not first.unchanged
    assert files_beneath(tmp_path / "home") == before


def test_grown_data_adds_parts_and_keeps_the_others(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_ROWS", 10)
    frame = pd.DataFrame({"x": range(35), "c": "u", "y": [0, 1, 0, 1, 1] * 7})
    model_file = make(COLUMNS)
    frame[:25].to_csv(tmp_path / "a.csv", index=False)
    first = ingest(model_file, tmp_path)
    frame.to_csv(tmp_path / "a.csv", index=False)
    second = ingest(model_file, tmp_path)
    assert (first.new_parts, second.new_parts) == (3, 2)
    assert open_snapshot(second.manifest).table(["x"])["x"].to_pylist() == list(range(35))
    assert open_snapshot(first.manifest).table(["x"])["x"].to_pylist() == list(range(25))


def test_long_texts_make_small_parts_that_grown_data_keeps(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "TEXT_BYTES", 100)
    frame = pd.DataFrame({"x": range(35), "t": [f"word {i:02} " + "z" * 32 for i in range(35)], "y": [0, 1] * 17 + [0]})
    model_file = make('x = "number"\nt = "text"')
    frame[:25].to_csv(tmp_path / "a.csv", index=False)
    first = ingest(model_file, tmp_path)
    frame.to_csv(tmp_path / "a.csv", index=False)
    second = ingest(model_file, tmp_path)
    assert (first.new_parts, second.new_parts) == (13, 6)
    assert open_snapshot(second.manifest).table(["x"])["x"].to_pylist() == list(range(35))


def test_a_part_is_addressed_by_value_not_by_chunks_or_dictionaries() -> None:
    plain = pa.table(
        {
            "t": pa.array(["b", "a", None]).dictionary_encode().cast(pa.dictionary(pa.int32(), pa.string())),
            "n": [1.0, None, 2.0],
        }
    )
    other_order = pa.DictionaryArray.from_arrays(pa.array([1, 0, None], pa.int32()), pa.array(["a", "b"]))
    chunked = pa.concat_tables([plain.slice(0, 1), plain.slice(1)])
    garbage = pa.Array.from_buffers(
        pa.float64(), 3, [pa.py_buffer(b"\x05"), pa.py_buffer(np.array([1.0, 9.9, 2.0]).tobytes())]
    )
    reordered = pa.table({"t": other_order, "n": garbage})
    digests = {parts.value_digest(table) for table in (plain, chunked, reordered, plain.slice(0))}
    assert len(digests) == 1
    changes = (plain.rename_columns(["t", "m"]), plain.slice(1), plain.set_column(1, "n", [[1.0, None, 3.0]]))
    assert len({parts.value_digest(table) for table in changes} | digests) == 4


def test_csv_and_parquet_of_one_table_give_one_part(tmp_path: Path, make: Make) -> None:
    frame = pd.DataFrame({"x": [1.5, 2.0, np.nan], "c": ["u", None, "v"], "y": [0, 1, 1]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    results = [ingest(make(COLUMNS, sources=f'uri = "a.{ending}"'), tmp_path) for ending in ("csv", "parquet")]
    hashes = [open_snapshot(result.manifest).manifest.parts[0].sha256 for result in results]
    assert hashes[0] == hashes[1]
    assert results[1].new_parts == 0


def test_keys_and_targets_of_any_file_format_are_the_same(tmp_path: Path, make: Make) -> None:
    frame = pd.DataFrame({"k": [1.0, 2.0, 3.0], "x": [1, 2, 3], "c": [True, False, True], "y": [True, False, True]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "b.parquet")
    frame.astype({"k": int}).to_csv(tmp_path / "c.csv", index=False)
    rest = '[split]\nkey = "k"'
    result = ingest(make(COLUMNS, sources='uri = "a.csv"|uri = "b.parquet"|uri = "c.csv"', rest=rest), tmp_path)
    assert (result.rows, result.collapsed) == (3, 6)
    assert open_snapshot(result.manifest).manifest.classes == {"false": 1, "true": 2}


def test_a_sensitive_canary_is_in_no_reject_and_no_error(tmp_path: Path, make: Make) -> None:
    write(tmp_path / "a.csv", x=["1", "2", "bad", "4", "4"], c=["whisper"] * 5, y=[0, 1, 1, 0, 1], k=[1, 2, 3, 4, 4])
    columns = 'x = "number"\nc = { kind = "category", sensitive = true }'
    result = ingest(make(columns, rest='[split]\nkey = "k"\n[data]\nmax_rejects = 0.9'), tmp_path)
    assert result.rejected == result.files[0].rejected == 3 and result.rejects is not None
    assert b"whisper" not in json.dumps(pq.read_table(result.rejects).to_pylist()).encode()


def test_a_full_disk_is_one_line_and_leaves_no_manifest(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.csv", x=[1, 2], c="u", y=[0, 1])

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OutsideError, match="the disk is full"):
        ingest(make(COLUMNS), tmp_path)
    assert files_beneath(tmp_path / "snapshots") == {"m/.lock"}


@pytest.mark.parametrize("broken", ["move", "manifest"])
def test_a_crash_between_parts_and_manifest_leaves_no_snapshot_and_the_next_run_succeeds(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    write(tmp_path / "a.csv", x=[1, 2], c="u", y=[0, 1])
    model_file = make(COLUMNS)

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*((parts, "move_into_place") if broken == "move" else (os, "fsync")), crash)
        with pytest.raises(KeyboardInterrupt):
            ingest(model_file, tmp_path)
    assert not list((tmp_path / "snapshots/m").glob("*.json"))
    result = ingest(model_file, tmp_path)
    assert open_snapshot(result.manifest).rows == 2


def test_a_later_format_is_refused_and_damage_is_named(tmp_path: Path, make: Make) -> None:
    write(tmp_path / "a.csv", x=[1, 2], c="u", y=[0, 1])
    path = ingest(make(COLUMNS), tmp_path).manifest
    content = path.read_text()
    for text, message in (
        (content.replace('"format_version": 1', '"format_version": 2'), "format version 2 is newer"),
        (content.replace('"rows": 2', '"rows": 3'), "does not match its name"),
        ("{", "damaged manifest"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            open_snapshot(path)
    path.write_text(content)
    part = next((tmp_path / "snapshots/m/parts").iterdir())
    shutil.copy(part, tmp_path / "kept")
    part.write_bytes(part.read_bytes()[:50])
    with pytest.raises(InputError, match="damaged part"):
        open_snapshot(path).table()
    part.unlink()
    with pytest.raises(InputError, match="is gone; ingest again"):
        open_snapshot(path).table()
    pq.write_table(pq.read_table(tmp_path / "kept").slice(1), part)
    with pytest.raises(InputError, match="has 1 rows and should have 2"):
        open_snapshot(path).table()
    with pytest.raises(InputError, match="no such snapshot"):
        open_snapshot(tmp_path / "none.json")


def test_a_weight_that_is_a_category_is_refused(tmp_path: Path, make: Make) -> None:
    write(tmp_path / "a.csv", x=[1, 2], c="u", y=[0, 1])
    with pytest.raises(InputError, match=r"training\.weight: 'c' is also a feature"):
        ingest(make(COLUMNS, rest='[training]\nweight = "c"'), tmp_path)


def test_a_weight_that_is_a_feature_is_stored_once(tmp_path: Path, make: Make) -> None:
    write(tmp_path / "a.csv", x=[1, 2], c="u", y=[0, 1])
    result = ingest(make(COLUMNS, rest='[training]\nweight = "x"'), tmp_path)
    assert open_snapshot(result.manifest).columns.count("x") == 1


def test_a_snapshot_spans_many_parts_with_one_set_of_categories(tmp_path: Path, make: Make) -> None:
    write(tmp_path / "a.csv", x=[1, 2], c=["u", "v"], y=[0, 1])
    write(tmp_path / "b.csv", x=[1, 2], c=["v", "w"], y=[0, 1])
    table = open_snapshot(ingest(make(COLUMNS), tmp_path).manifest).table(["c"])
    assert table["c"].to_pylist() == ["u", "v", "v", "w"]
    assert len({tuple(chunk.dictionary.to_pylist()) for chunk in table["c"].chunks}) == 1


def test_one_file_in_two_sources_is_named(tmp_path: Path, make: Make) -> None:
    write(tmp_path / "a.csv", x=[1, 2], c="u", y=[0, 1])
    with pytest.raises(InputError, match=r"a\.csv: belongs to two sources"):
        ingest(make(COLUMNS, sources='uri = "a.csv"|uri = "*.csv"'), tmp_path)


@pytest.mark.parametrize("second", ["link.csv", "deep/../a.csv", "**"])
def test_one_file_behind_another_name_is_named(tmp_path: Path, make: Make, second: str) -> None:
    write(tmp_path / "a.csv", x=[1, 2], c="u", y=[0, 1])
    (tmp_path / "link.csv").symlink_to("a.csv")
    (tmp_path / "deep").mkdir()
    with pytest.raises(InputError, match=r"(a|link)\.csv( and 1 more)?: belongs? to two sources"):
        ingest(make(COLUMNS, sources=f'uri = "a.csv"|uri = "{second}"'), tmp_path / "home")


def test_a_damaged_file_is_named_before_any_row_is_read(tmp_path: Path, make: Make) -> None:
    write(tmp_path / "a.csv", x=[1, 2], c="u", y=[0, 1])
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(InputError, match=r"b\.parquet: not a Parquet file or truncated"):
        ingest(make(COLUMNS, sources='uri = "a.csv"|uri = "b.parquet"'), tmp_path)


def test_the_folder_of_a_model_is_named_after_it() -> None:
    assert snapshot.snapshot_folder(Path("home"), "m") == Path("home/snapshots/m")
