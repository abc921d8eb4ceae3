"""Outputs that exist, fail half-way, or can't be written."""

import errno
import os
from pathlib import Path

import pytest

from models.errors import InputError, OutsideError
from tasks.scoring import run as run_module
from tasks.scoring.batch import BatchScorer
from tasks.scoring.claim import LocalPlace
from tasks.scoring.sinks import FilePart
from tasks.scoring.store import SCRATCH, LocalStore
from tests.tasks.scoring.scored_files import Run, left, only


def test_an_output_that_exists_stays(run: Run, rows_csv: Path, tmp_path: Path) -> None:
    first = only(run(rows_csv).predictions)
    before = first.read_bytes()
    with pytest.raises(InputError, match=r"out: exists already; choose another output or pass --overwrite"):
        run(rows_csv, keep=[])
    assert first.read_bytes() == before
    run(rows_csv, keep=[], overwrite=True)
    assert first.read_bytes() != before
    assert left(tmp_path) == {"out"}


def test_files_are_overwritten_too(run: Run, rows_csv: Path, tmp_path: Path) -> None:
    run(rows_csv, output="out.csv")
    with pytest.raises(InputError, match="exists already"):
        run(rows_csv, output="out.csv")
    run(rows_csv, output="out.csv", overwrite=True)
    assert left(tmp_path) == {"out.csv", "out.rejects.csv", "out.csv.manifest.json"}


def test_nothing_is_visible_before_the_end(run: Run, rows_csv: Path, tmp_path: Path) -> None:
    seen: list[set[str]] = []
    run(rows_csv, on_rows=lambda done: seen.append({name for name in left(tmp_path) if not name.startswith(".")}))
    assert seen and all(names == set() for names in seen)
    assert left(tmp_path) == {"out"}


def test_an_error_in_the_middle_leaves_nothing(
    run: Run, rows_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(BatchScorer, "score", fails)
    with pytest.raises(RuntimeError, match="in the middle"):
        run(rows_csv)
    assert left(tmp_path) == set()


def test_an_error_leaves_the_output_that_was_there(
    run: Run, rows_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = only(run(rows_csv).predictions).read_bytes()
    monkeypatch.setattr(run_module, "_require_written", lambda *_: (_ for _ in ()).throw(RuntimeError("late")))
    with pytest.raises(RuntimeError, match="late"):
        run(rows_csv, overwrite=True)
    assert only(tmp_path / "out" / "predictions").read_bytes() == before
    assert left(tmp_path) == {"out"}


@pytest.mark.parametrize("output", ["out", "out.csv", "out.jsonl", "out.parquet"])
def test_a_full_disk_is_a_plain_line_and_leaves_nothing(
    run: Run, rows_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(FilePart, "write", full)
    with pytest.raises(
        OutsideError, match=rf"{output}: can't be written \(the disk is full\); the same command goes on"
    ):
        run(rows_csv, output=output)
    assert left(tmp_path) == set()


def test_a_disk_that_fills_up_while_publishing_keeps_what_was_there(
    run: Run, rows_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = only(run(rows_csv).predictions).read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(LocalPlace, "move", full)
    with pytest.raises(OutsideError, match="the disk is full"):
        run(rows_csv, overwrite=True)
    assert only(tmp_path / "out" / "predictions").read_bytes() == before
    monkeypatch.undo()
    assert run(rows_csv, overwrite=True).rows == 200
    assert left(tmp_path) == {"out"}
    assert left(tmp_path / "out") == {"predictions", "rejects", "manifest.json"}


def test_a_shard_that_can_not_be_put_in_place_leaves_no_files_in_the_making(
    run: Run, rows_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LocalStore.put

    def put(self: LocalStore, path: Path, name: str) -> None:
        if name == "predictions/part-000000-000001.parquet":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self, path, name)

    monkeypatch.setattr(LocalStore, "put", put)
    with pytest.raises(OutsideError, match="the disk is full"):
        run(rows_csv, shard_rows=70)
    assert left(tmp_path / ".out.partial" / "out" / SCRATCH) == set()
    monkeypatch.undo()
    assert run(rows_csv, shard_rows=70).rows == 200


def test_an_output_folder_that_cannot_be_made_is_a_plain_line(run: Run, rows_csv: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutsideError, match=r"file/out: can't be written"):
        run(rows_csv, output="file/out")
