"""Folders and tables get each parcel as one, once, or a dead letter says why not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from models.errors import InputError, OutsideError
from tasks.actions import whole
from tasks.actions.deliver import Delivered, deliver
from tasks.actions.whole import TableTarget
from tests.tasks.actions.parcels import QUICK, RUN, action, lines, parcel, send

ADDRESS = "sqlite:////data/shop.db#refunds"


def test_a_folder_gets_a_file_for_each_shard_and_action(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "urgent"
    first, second, empty = parcel(tmp_path, 4, "1"), parcel(tmp_path, 2, "2"), parcel(tmp_path, 0, "3")
    told = send(action(str(folder)), first, second, empty)
    assert told == Delivered("refund", 6, 6, 0)
    send(action(f"file://{folder}", name="other"), parcel(tmp_path, 2, "other"))
    assert sorted(path.name for path in folder.iterdir()) == [
        "run-1-other-other.parquet",
        "run-1-refund-1.parquet",
        "run-1-refund-2.parquet",
    ]
    assert (folder / "run-1-refund-1.parquet").read_bytes() == first.outbox.read_bytes()


def test_a_second_copy_takes_the_place_of_the_first(tmp_path: Path) -> None:
    wanted, folder = parcel(tmp_path, 4), tmp_path / "urgent"
    send(action(str(folder)), wanted)
    (folder / "run-1-refund-00001.parquet").write_bytes(b"torn")
    assert send(action(str(folder)), wanted).delivered == 4
    assert (folder / "run-1-refund-00001.parquet").read_bytes() == b"torn", "it has a receipt"
    wanted.receipts.unlink()
    assert send(action(str(folder)), wanted).delivered == 4
    assert pq.read_table(folder).num_rows == 4


def test_nothing_is_seen_under_the_name_before_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "urgent"

    def cut_off(read: IO[bytes], written: IO[bytes], length: int) -> None:
        written.write(read.read(10))
        written.flush()
        assert list(folder.glob("*.parquet")) == []
        raise KeyboardInterrupt

    monkeypatch.setattr(whole.shutil, "copyfileobj", cut_off)
    with pytest.raises(KeyboardInterrupt):
        send(action(str(folder)), parcel(tmp_path, 4))
    monkeypatch.undo()
    assert send(action(str(folder)), parcel(tmp_path, 4)).delivered == 4
    assert [path.name for path in folder.iterdir()] == ["run-1-refund-00001.parquet"]


def test_a_disk_that_is_full_keeps_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(read: IO[bytes], written: IO[bytes], length: int) -> None:
        written.write(read.read(10))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole.shutil, "copyfileobj", full)
    wanted = parcel(tmp_path, 4)
    assert send(action(str(tmp_path / "urgent"), retries=1), wanted).dead == 4
    assert "No space left on device" in lines(wanted.dead)[0]["reason"]
    assert list((tmp_path / "urgent").iterdir()) == []


def test_an_object_store_is_written_through_arrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bucket").mkdir()
    store = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(whole, "_place_of", lambda place: (store, place.removeprefix("s3://")))
    assert send(action("s3://bucket"), parcel(tmp_path, 4)) == Delivered("refund", 4, 4, 0)
    assert pq.read_table(tmp_path / "bucket" / "run-1-refund-00001.parquet").num_rows == 4


def test_a_folder_that_cannot_be_written_leaves_dead_letters(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    wanted = parcel(tmp_path, 4)
    target = action(str(tmp_path / "file" / "urgent"), retries=1)
    assert send(target, wanted) == Delivered("refund", 4, 0, 4)
    (dead,) = lines(wanted.dead)
    assert (dead["reason"], dead["rows"], dead["attempts"]) == ("can't be written (Not a directory)", 4, 2)
    assert dead["letter"] == {"action": "refund", "run_id": RUN, "shard": "00001", "outbox": "00001.parquet"}
    (tmp_path / "file").unlink()
    assert send(target, wanted, again=True) == Delivered("refund", 4, 4, 0)


class Rows:
    """A table that remembers what it was given, and fails as it is told."""

    def __init__(self, failures: list[Exception]) -> None:
        self.failures = failures
        self.given: dict[tuple[str, str], pa.Table] = {}
        self.addresses: list[str] = []

    @contextmanager
    def open(self, address: str) -> Iterator[TableTarget]:
        self.addresses.append(address)
        yield self

    def append(self, rows: pa.Table, run_id: str, shard: str) -> None:
        if self.failures:
            raise self.failures.pop()
        self.given[run_id, shard] = rows


def test_a_table_gets_each_shard_under_a_name_of_its_own(tmp_path: Path) -> None:
    table, first, second = Rows([]), parcel(tmp_path, 4, "1"), parcel(tmp_path, 2, "2")
    told = deliver(action(ADDRESS), [first, second], RUN, table.open, pace=QUICK)
    assert told == Delivered("refund", 6, 6, 0)
    assert {key: len(rows) for key, rows in table.given.items()} == {(RUN, "refund-1"): 4, (RUN, "refund-2"): 2}
    assert table.given[RUN, "refund-1"].equals(pq.read_table(first.outbox))
    assert table.addresses == [ADDRESS, ADDRESS]


def test_a_database_that_is_away_for_a_moment_is_tried_again(tmp_path: Path) -> None:
    table = Rows([OutsideError("db: away"), OutsideError("db: away")])
    assert deliver(action(ADDRESS), [parcel(tmp_path, 4)], RUN, table.open, pace=QUICK).delivered == 4


def test_rows_that_a_table_refuses_are_dead_at_once(tmp_path: Path) -> None:
    table, wanted = Rows([InputError("refunds: no column 'message'")]), parcel(tmp_path, 4)
    assert deliver(action(ADDRESS), [wanted], RUN, table.open, pace=QUICK) == Delivered("refund", 4, 0, 4)
    (dead,) = lines(wanted.dead)
    assert (dead["reason"], dead["attempts"]) == ("refunds: no column 'message'", 1)
