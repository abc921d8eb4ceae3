"""Batches with the contents of files that columns name: in order, bounded in rows and bytes, nothing lost."""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from models.columns import KINDS, ColumnSettings
from tasks.data import contents
from tasks.data.batches import Malformed, RawBatch
from tasks.data.contents import row_bytes, with_contents
from tests.tasks.data.fetched import ABSENT, IMAGE, OUTSIDE, batch, put, table_file


def gathered(
    folder: Path, batches: Sequence[RawBatch], columns: dict[str, ColumnSettings] | None = None
) -> list[RawBatch]:
    return list(with_contents(iter(batches), table_file(folder), columns or {"p": IMAGE}, ("?",)))


def test_without_columns_of_files_batches_pass_untouched(folder: Path) -> None:
    given = batch(pa.array(["a.png"]))
    (found,) = gathered(folder, [given], {"n": KINDS["number"].settings()})
    assert found is given


@pytest.mark.parametrize("large", [pa.binary(), pa.large_binary(), pa.null()])
def test_contents_that_are_in_the_table_stay_there(folder: Path, large: pa.DataType) -> None:
    cells = pa.nulls(2) if pa.types.is_null(large) else pa.array([b"1", None], large)
    (found,) = gathered(folder, [batch(cells)])
    assert found.gathered == {} and found.table["p"].combine_chunks().equals(cells)


@pytest.mark.parametrize("texts", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_texts_of_any_width_are_paths(folder: Path, texts: pa.DataType) -> None:
    put(folder / "a.png", b"a")
    (found,) = gathered(folder, [batch(pa.array(["a.png", "b.png", None]).cast(texts))])
    assert found.gathered["p"].to_pylist() == [
        {"content": b"a", "failure": None},
        {"content": None, "failure": ABSENT},
        {"content": None, "failure": None},
    ]


def test_a_folder_of_its_own_is_beside_the_table(folder: Path) -> None:
    put(folder / "pictures" / "a.png", b"a")
    put(folder / "b.png")
    columns: dict[str, ColumnSettings] = {"p": KINDS["image"].settings(size=8, folder="pictures")}
    (found,) = gathered(folder, [batch(pa.array(["a.png", "../b.png"]))], columns)
    assert found.gathered["p"].to_pylist() == [
        {"content": b"a", "failure": None},
        {"content": None, "failure": OUTSIDE},
    ]


def test_large_batches_are_cut_and_lose_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "ROWS_AT_ONCE", 2)
    for number in range(1, 8):
        put(folder / f"{number}.png", str(number).encode())
    bad = Malformed(6, "1,2,3", "too many fields")
    other = pa.array([b"x", b"y", b"z", b"u", b"v"])
    first = batch(pa.array([f"{n}.png" for n in range(1, 6)]), malformed=(bad,), skipped=3, gathered={"w": other})
    found = gathered(folder, [first, batch(pa.array(["6.png", "7.png"]), start=7)])
    assert [piece.rows.tolist() for piece in found] == [[1, 2], [3, 4], [5], [7, 8]]
    assert [cell["content"] for piece in found for cell in piece.gathered["p"].to_pylist()] == [
        str(n).encode() for n in range(1, 8)
    ]
    assert [value for piece in found[:3] for value in piece.gathered["w"].to_pylist()] == other.to_pylist()
    assert [piece.malformed for piece in found] == [(bad,), (), (), ()]
    assert [piece.skipped for piece in found] == [3, 0, 0, 0]


def test_pieces_are_cut_by_the_bytes_of_their_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "BYTES_AT_ONCE", 10_000)
    sizes = [4000, 4000, 4000, 20_000, 1, 9_999, 1, 0]
    for number, size in enumerate(sizes):
        put(folder / f"{number}.png", b"x" * size)
    found = gathered(folder, [batch(pa.array([f"{n}.png" for n in range(8)]))])
    assert [piece.rows.tolist() for piece in found] == [[1, 2], [3], [4], [5, 6], [7, 8]]
    assert [len(cell["content"]) for piece in found for cell in piece.gathered["p"].to_pylist()] == sizes


def test_files_of_several_columns_count_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "BYTES_AT_ONCE", 10_000)
    put(folder / "a.png", b"a" * 3000)
    both = batch(pa.array(["a.png"] * 4))
    both = replace(both, table=both.table.append_column("q", pa.array(["a.png", None, "a.png", "b.png"])))
    found = gathered(folder, [both], {"p": IMAGE, "q": IMAGE})
    assert [piece.rows.tolist() for piece in found] == [[1, 2], [3, 4]]
    assert [cell["failure"] for cell in found[1].gathered["q"].to_pylist()] == [None, ABSENT]


def test_large_files_are_fetched_few_ahead(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def slowly(path: str, *_: object) -> tuple[bytes, None]:
        started.append(path)
        return b"x" * 20_000, None

    monkeypatch.setattr(contents, "BYTES_AT_ONCE", 10_000)
    monkeypatch.setattr(contents, "fetch", slowly)
    pieces = with_contents(iter([batch(pa.array(map(str, range(100))))]), table_file(folder), {"p": IMAGE}, ())
    assert len(next(pieces).rows) == 1
    time.sleep(0.1)
    assert len(started) <= contents.WORKERS + 1


def test_as_many_files_are_fetched_at_once_as_there_are_workers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(contents.WORKERS)

    def waiting(path: str, *_: object) -> tuple[bytes, None]:
        together.wait(10)
        return path.encode(), None

    monkeypatch.setattr(contents, "fetch", waiting)
    names = [str(number) for number in range(5 * contents.WORKERS)]
    found = gathered(folder, [batch(pa.array(names))])
    assert [cell["content"].decode() for piece in found for cell in piece.gathered["p"].to_pylist()] == names


def test_a_batch_of_malformed_rows_alone_is_not_lost(folder: Path) -> None:
    bad = Malformed(1, "1,2,3", "too many fields")
    (found,) = gathered(folder, [batch(pa.array([], pa.string()), malformed=(bad,))])
    assert found.malformed == (bad,) and len(found.rows) == 0


def test_the_larger_a_row_the_fewer_are_fetched_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row has 8 x 8 x 3 bytes."""
    assert row_bytes({"p": IMAGE, "n": KINDS["number"].settings()}) == 192
    monkeypatch.setattr(contents, "BYTES_AT_ONCE", 3 * 192)
    found = gathered(folder, [batch(pa.array([f"{n}.png" for n in range(7)]))])
    assert [len(piece.rows) for piece in found] == [3, 3, 1]


def test_a_row_larger_than_all_that_is_fetched_at_once_comes_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "BYTES_AT_ONCE", 1)
    assert [len(piece.rows) for piece in gathered(folder, [batch(pa.array(["a", "b"]))])] == [1, 1]
