"""Counts that must add up, whatever loses a batch."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import PerennialError
from tasks.data.batches import RawBatch
from tasks.scoring import score
from tests.tasks.scoring.scored_files import Run, left, new_rows


def test_counts_that_do_not_add_up_stop_the_run(
    run: Run, rows_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score, "count_reasons", lambda rejects: {})
    real = score.check_batch

    def forgetful(*args: Any, **more: Any) -> Any:
        checked = real(*args, **more)
        return score.Checked(checked.table, checked.rows, checked.rejects.slice(1))

    monkeypatch.setattr(score, "check_batch", forgetful)
    with pytest.raises(PerennialError, match="200 rows were read, but 198 scored and 1 rejected; nothing was written"):
        run(rows_csv)
    assert left(tmp_path) == set()


def keeps_all_but_the_second(real: Callable[..., Any]) -> Callable[..., Any]:
    """A function of two arguments that does nothing at its second call."""
    calls: list[object] = []

    def call(*args: Any) -> Any:
        calls.append(args)
        return None if len(calls) == 2 else real(*args)

    return call


@pytest.fixture
def three_batches(tmp_path: Path) -> Path:
    for part in range(3):
        new_rows(10, seed=part).assign(load="x" if part == 1 else 1.0).to_csv(tmp_path / f"p{part}.csv", index=False)
    return tmp_path / "p*.csv"


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
@pytest.mark.parametrize("lost", ["predictions", "rejects"])
def test_a_batch_that_is_not_handed_to_its_writer_stops_the_run(
    run: Run, three_batches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, lost: str
) -> None:
    real = score._append

    def drops(writer: Any, table: pa.Table) -> int:
        return 0 if ("reason" in table.column_names) == (lost == "rejects") and len(table) else real(writer, table)

    monkeypatch.setattr(score, "_append", drops)
    with pytest.raises(PerennialError, match=r"\d+ rows were \w+, but 0 written; .*nothing was written|but 0 written"):
        run(three_batches, output=f"out{suffix}")
    assert left(tmp_path) == {"p0.csv", "p1.csv", "p2.csv"}


def test_a_writer_that_loses_a_batch_stops_the_run(
    run: Run, three_batches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pq.ParquetWriter, "write_table", keeps_all_but_the_second(pq.ParquetWriter.write_table))
    with pytest.raises(PerennialError, match=r"rejects\.parquet holds 0 rows instead of 10; nothing was written"):
        run(three_batches)
    assert left(tmp_path) == {"p0.csv", "p1.csv", "p2.csv"}


@pytest.mark.parametrize(
    ("suffix", "lost", "told"),
    [
        ("parquet", 0, "has 150 rows, but 90 were read"),
        ("parquet", 2, "has 150 rows, but 120 were read"),
        ("csv", 0, "90 rows were read up to row 150"),
        ("csv", 1, "90 rows were read up to row 150"),
    ],
)
def test_a_reader_that_loses_a_batch_stops_the_run(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, lost: int, told: str
) -> None:
    given = tmp_path / f"in.{suffix}"
    frame = new_rows(150)
    frame.to_csv(given, index=False) if suffix == "csv" else frame.to_parquet(given)
    real = score.read_batches

    def loses(*args: Any) -> Iterator[RawBatch]:
        for batch in real(*args):
            for number, start in enumerate(range(0, len(batch.rows), 60)):
                if number != lost:
                    end = start + 60
                    yield RawBatch(batch.source, batch.rows[start:end], batch.table.slice(start, 60))

    monkeypatch.setattr(score, "read_batches", loses)
    with pytest.raises(PerennialError, match=f"{told}; nothing was written"):
        run(given)
    assert left(tmp_path) == {given.name}


def test_blank_lines_and_malformed_rows_are_no_lost_rows(run: Run, tmp_path: Path) -> None:
    new_rows(6).to_csv(tmp_path / "in.csv", index=False)
    lines = (tmp_path / "in.csv").read_text().splitlines()
    lines[2:2] = ["", "1,2", "", ""]
    (tmp_path / "in.csv").write_text("\n".join([*lines, "", "1,2", ""]))
    done = run(tmp_path / "in.csv")
    assert (done.rows, done.scored, done.rejected) == (8, 6, 2)
