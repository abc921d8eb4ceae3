"""Rows of a snapshot by a mask: streamed, in bounded pieces, the same as all at once."""

import numpy as np
import pyarrow as pa
import pytest

from models.contract import SplitSpec
from models.modelfile import read_model_file
from tasks.data import rows
from tasks.data.layout import stored_split_name
from tasks.data.manifest import Snapshot
from tasks.data.rows import assign_rows, chosen_rows, masked_batches, masked_rows, no_rows
from tasks.data.snapshot import ingest, open_snapshot
from tests.small import table, write_model


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Two parts, one for each of two files."""
    folder = tmp_path_factory.mktemp("rows")
    path = write_model(folder, "rows", table(300))
    table(500, seed=1).assign(id=range(1000, 1500)).to_csv(folder / "more.csv", index=False)
    path.write_text(path.read_text().replace("[target]", '[[sources]]\nuri = "more.csv"\n[target]'))
    return open_snapshot(ingest(read_model_file(path), folder).manifest)


def test_marked_rows_come_in_pieces_of_bounded_bytes(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.random.default_rng(0).random(snapshot.rows) < 0.4
    expected = snapshot.table().filter(pa.array(mask)).to_pylist()
    assert len(list(masked_batches(snapshot, mask))) == 2
    monkeypatch.setattr(rows, "PIECE_BYTES", 4000)
    pieces = list(masked_batches(snapshot, mask))
    assert [row for piece in pieces for row in piece.to_pylist()] == expected
    assert max(piece.nbytes for piece in pieces) < 6000
    monkeypatch.setattr(rows, "PIECE_BYTES", 1)
    assert {len(piece) for piece in masked_batches(snapshot, mask)} == {1}


def test_parts_without_marked_rows_are_not_read(snapshot: Snapshot) -> None:
    damaged = snapshot.manifest.parts[1].model_copy(update={"sha256": "gone"})
    parts = (snapshot.manifest.parts[0], damaged)
    half_gone = Snapshot(snapshot.path, snapshot.manifest.model_copy(update={"parts": parts}))
    mask = np.arange(snapshot.rows) < 5
    assert masked_rows(half_gone, mask).to_pylist() == snapshot.table().slice(0, 5).to_pylist()


def test_chosen_rows_are_in_the_order_that_was_asked_for(snapshot: Snapshot) -> None:
    mask = np.arange(snapshot.rows) % 3 == 1
    marked = snapshot.table().filter(pa.array(mask)).to_pylist()
    positions = np.array([200, 3, 3, 111, 0])
    assert chosen_rows(snapshot, mask, positions).to_pylist() == [marked[position] for position in positions]
    assert chosen_rows(snapshot, mask, np.empty(0, np.int64)).to_pylist() == []


def test_no_rows_have_the_types_of_all(snapshot: Snapshot) -> None:
    nothing = np.zeros(snapshot.rows, dtype=bool)
    assert masked_rows(snapshot, nothing).schema == snapshot.table().schema == no_rows(snapshot).schema
    assert masked_rows(snapshot, nothing, ["load"]).column_names == ["load"]


def test_what_arrow_keeps_for_later_is_let_go_of_after_each_pass(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[str] = []
    monkeypatch.setattr(rows, "_give_back", lambda: released.append("given back"))
    mask = np.ones(snapshot.rows, dtype=bool)
    pieces = masked_batches(snapshot, mask, ["load"])
    assert len(next(pieces)) > 0 and not released
    assert sum(len(piece) for piece in pieces) > 0 and len(released) == 1
    by_id = SplitSpec(rule="hash", columns=(stored_split_name("id"),), validation=0.1, test=0.2)
    assert len(assign_rows(snapshot, by_id)) == snapshot.rows and len(released) == 2
