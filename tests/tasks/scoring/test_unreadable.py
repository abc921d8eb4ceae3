"""Files that can't be read, wholly or from some row on, are rejects; the others go on."""

import os
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from models.errors import InputError
from tasks.scoring.outputs import problems_of
from tests.tasks.scoring.scored_files import Run, new_rows


def rejected(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path)[["source", "row", "reason"]]


def test_a_file_that_is_no_table_is_one_reject(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    new_rows(20, seed=1).to_parquet(folder / "a.parquet")
    new_rows(30, seed=2).to_parquet(folder / "b.parquet")
    (folder / "b.parquet").write_bytes((folder / "b.parquet").read_bytes()[:-40])
    (folder / "c.csv").write_bytes(b"")
    new_rows(10, seed=3).to_parquet(folder / "d.parquet")
    done = run(folder)
    assert (done.rows, done.scored, done.rejected) == (32, 30, 2)
    found = rejected(done.rejects)
    assert [Path(source).name for source in found["source"]] == ["b.parquet", "c.csv"]
    assert found["row"].tolist() == [0, 0]
    assert found["reason"].str.startswith("unreadable: ").all() and "truncated" in found["reason"][0]
    assert problems_of(str(tmp_path / "out")) == []


def test_inputs_none_of_which_can_be_read_are_a_plain_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"")
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError) as refused:
        run(tmp_path / "a.csv", tmp_path / "b.parquet")
    assert [problem.rpartition("/")[2].partition(":")[0] for problem in refused.value.problems] == [
        "a.csv",
        "b.parquet",
    ]


def test_a_table_without_rows_among_others_has_nothing_to_score(run: Run, tmp_path: Path) -> None:
    new_rows(0).to_csv(tmp_path / "a.csv", index=False)
    new_rows(9).to_csv(tmp_path / "b.csv", index=False)
    assert run(tmp_path / "*.csv", output="csv").rows == 9
    new_rows(9).iloc[:0].to_parquet(tmp_path / "a.parquet")
    new_rows(8).to_parquet(tmp_path / "b.parquet")
    assert run(tmp_path / "*.parquet", output="parquet").rows == 8
    with pytest.raises(InputError, match="no rows"):
        run(tmp_path / "a.csv", output="none")
    assert not (tmp_path / "none").exists()


def test_rows_of_a_damaged_part_are_rejects_and_the_rest_is_scored(run: Run, tmp_path: Path) -> None:
    rows = new_rows(150_000, seed=4)
    path = tmp_path / "in.parquet"
    rows.to_parquet(path, row_group_size=70_000, compression="zstd")
    metadata = pq.read_metadata(path)
    chunk = metadata.row_group(1).column(metadata.schema.names.index("load"))
    with path.open("r+b") as file:
        file.seek(chunk.data_page_offset + chunk.total_compressed_size // 2)
        file.write(os.urandom(1000))
    done = run(path, shard_rows=35_000)
    assert done.rows == 150_000 == done.scored + done.rejected
    found = rejected(done.rejects)
    assert found["row"].tolist() == list(range(int(found["row"].min()), int(found["row"].min()) + len(found)))
    assert found["row"].min() > 70_000 and found["row"].max() <= 140_000
    assert found["reason"].str.startswith("unreadable: ").all()
    scored = pd.read_parquet(done.predictions)
    assert sorted([*scored["row"], *found["row"]]) == list(range(1, 150_001))
    assert scored["id"].tolist() == [row - 1 for row in scored["row"]]
    assert problems_of(str(tmp_path / "out")) == []


def test_a_csv_file_that_breaks_off_keeps_what_came_before(run: Run, tmp_path: Path) -> None:
    text = new_rows(50).to_csv(index=False)
    (tmp_path / "in.csv").write_text(text + '51,1.0,1.0,x,yes,"never closed\n51,1,1,x,yes,2024-01-01\n')
    new_rows(5).to_csv(tmp_path / "more.csv", index=False)
    done = run(tmp_path / "*.csv")
    assert done.scored == 55
    assert rejected(done.rejects)["reason"].str.contains("never closed").any()


@pytest.mark.parametrize("shard_rows", [None, 50])
def test_neighbours_of_a_damaged_row_group_are_scored(run: Run, tmp_path: Path, shard_rows: int | None) -> None:
    path = tmp_path / "in.parquet"
    new_rows(200, seed=4).to_parquet(path, row_group_size=50)
    damage(path, 2)
    done = run(path, shard_rows=shard_rows)
    scored = pd.read_parquet(done.predictions)["row"].tolist()
    bad = rejected(done.rejects)["row"].tolist()
    assert sorted(scored + bad) == list(range(1, 201))
    assert set(range(1, 101)) <= set(scored) and set(range(101, 151)) <= set(bad)
    assert shard_rows is None or bad == list(range(101, 151))


def damage(path: Path, group: int) -> None:
    """Overwrites the pages of a row group's first column."""
    column = pq.read_metadata(path).row_group(group).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xff" * column.total_compressed_size)


@pytest.mark.parametrize("open_row", ['51,1.0,1.0,x,yes,"never closed', '51,1.0,1.0,x,"never closed'])
def test_a_row_whose_quote_is_never_closed_is_one_reject(run: Run, tmp_path: Path, open_row: str) -> None:
    new_rows(3, seed=5).to_csv(tmp_path / "in.csv", index=False)
    text = (tmp_path / "in.csv").read_text()
    (tmp_path / "in.csv").write_text(text + open_row + "\n51,1,1,x,yes,2024-01-01" * 30 + "\n")
    done = run(tmp_path / "in.csv")
    assert (done.rows, done.scored, done.rejected) == (4, 3, 1)
    assert rejected(done.rejects)["row"].tolist() == [4]
    assert pd.read_parquet(done.predictions)["row"].tolist() == [1, 2, 3]
