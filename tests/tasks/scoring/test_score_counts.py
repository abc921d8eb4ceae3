"""Counts that must add up, whatever loses a batch."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import PerennialError
from tasks.data.batches import RawBatch
from tasks.scoring import batch, reading
from tasks.scoring.sinks import FilePart
from tests.tasks.scoring.scored_files import Run, left, new_rows, visible


def test_counts_that_do_not_add_up_stop_the_run(
    run: Run, rows_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "count_reasons", lambda rejects: {})
    real = batch.check_batch

    def forgetful(*args: Any, **more: Any) -> Any:
        checked = real(*args, **more)
        return batch.Checked(checked.table, checked.rows, checked.rejects.slice(1))

    monkeypatch.setattr(batch, "check_batch", forgetful)
    with pytest.raises(PerennialError, match="200 rows were read, but 198 scored and 1 rejected; it was not scored"):
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
    real = FilePart.write

    def drops(part: FilePart, what: str, table: pa.Table) -> int:
        return 0 if what == lost else real(part, what, table)

    monkeypatch.setattr(FilePart, "write", drops)
    with pytest.raises(PerennialError, match=r"10 rows were \w+, but 0 written; it was not scored"):
        run(three_batches, output=f"out{suffix}")
    assert visible(tmp_path) == {"p0.csv", "p1.csv", "p2.csv"}


def test_a_writer_that_loses_a_batch_stops_the_run(
    run: Run, three_batches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pq.ParquetWriter, "write_table", keeps_all_but_the_second(pq.ParquetWriter.write_table))
    with pytest.raises(PerennialError, match=r"holds 0 rows instead of 10; it was not scored"):
        run(three_batches)
    assert visible(tmp_path) == {"p0.csv", "p1.csv", "p2.csv"}


@pytest.mark.parametrize(
    ("suffix", "lost", "told"),
    [
        ("parquet", 0, "90 of 150 rows up to row 150"),
        ("parquet", 2, "120 of 150 rows up to row 150"),
        ("csv", 0, "90 of 150 rows up to row 150"),
        ("csv", 1, "90 of 150 rows up to row 150"),
    ],
)
def test_a_reader_that_loses_a_batch_stops_the_run(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, lost: int, told: str
) -> None:
    given = tmp_path / f"in.{suffix}"
    frame = new_rows(150)
    frame.to_csv(given, index=False) if suffix == "csv" else frame.to_parquet(given)
    real = reading.read_batches

    def loses(*args: Any) -> Iterator[RawBatch]:
        for read in real(*args):
            for number, start in enumerate(range(0, len(read.rows), 60)):
                if number != lost:
                    end = start + 60
                    yield RawBatch(read.source, read.rows[start:end], read.table.slice(start, 60))

    monkeypatch.setattr(reading, "read_batches", loses)
    with pytest.raises(PerennialError, match=f"{told} were read; it was not scored"):
        run(given)
    assert left(tmp_path) == {given.name}


def test_blank_lines_and_malformed_rows_are_no_lost_rows(run: Run, tmp_path: Path) -> None:
    new_rows(6).to_csv(tmp_path / "in.csv", index=False)
    lines = (tmp_path / "in.csv").read_text().splitlines()
    lines[2:2] = ["", "1,2", "", ""]
    (tmp_path / "in.csv").write_text("\n".join([*lines, "", "1,2", ""]))
    done = run(tmp_path / "in.csv")
    assert (done.rows, done.scored, done.rejected) == (8, 6, 2)
