"""What a disk has spoilt is kept, told and counted, and everything else arrives."""

import errno
import json
import logging
import struct
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.actions import Action
from tasks.actions.outbox import ACTIONS_FILE, NewerError, read_actions, write_outbox
from tasks.actions.tabletarget import open_table
from tasks.serving.beside import delivering
from tasks.serving.beside.boxes import NEW, begin_box
from tasks.serving.beside.courier import Orders
from tasks.serving.beside.damaged import count_damaged
from tasks.serving.beside.deliverer import Deliveries
from tasks.serving.beside.delivering import Delivery
from tasks.serving.beside.segments import HEAD, read_pieces
from tests.tasks.actions.services import scripted
from tests.tasks.serving.beside.test_delivering import RUN, kept, put, rows, run, to_folder, until


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOOK_SECONDS", "TROUBLE_SECONDS", "HELD_SECONDS", "GATHER_SECONDS"):
        monkeypatch.setattr(delivering, name, 0.02)


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


def page_of(path: Path) -> int:
    """Where the values of the first column begin, behind the head of their page."""
    column = pq.read_metadata(path).row_group(0).column(0)
    return int(column.data_page_offset + column.total_compressed_size - 3)


SPOILT: dict[str, Callable[[Path], bytes]] = {
    "cut off": lambda path: path.read_bytes()[:-20],
    "empty": lambda path: b"",
    "its end": lambda path: flipped(path.read_bytes(), len(path.read_bytes()) - 20),
    "its length": lambda path: path.read_bytes()[:-8] + struct.pack("<I", 1 << 30) + b"PAR1",
    "a page": lambda path: flipped(path.read_bytes(), page_of(path)),
    "another format": lambda path: b"PK\x03\x04" + bytes(500),
}


def parcel(folder: Path, name: str, table: pa.Table) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.parquet"
    write_outbox(path, table)
    return path


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_a_damaged_parcel_is_kept_and_told_once_and_all_others_arrive(
    spoil: Callable[[Path], bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box = tmp_path / "box"
    parcel(box, "1", rows(("a", 1)))
    damaged = parcel(box, "2", rows(("b", 1), ("b", 2)))
    parcel(box, "3", rows(("c", 1)))
    damaged.write_bytes(spoil(damaged))
    content = damaged.read_bytes()
    put(box, rows(("d", 1)))
    with caplog.at_level(logging.ERROR):
        run(box, to_folder(tmp_path))
    assert kept(tmp_path) == [("a", 1), ("c", 1), ("d", 1)]
    assert [path.name for path in box.iterdir() if path.is_file()] == ["2.parquet.damaged"]
    assert (box / "2.parquet.damaged").read_bytes() == content
    [line] = caplog.messages
    assert line.startswith(f"{damaged}: damaged (") and "\n" not in line
    assert count_damaged(tmp_path) == 1


def test_a_parcel_of_other_columns_is_no_parcel(tmp_path: Path) -> None:
    parcel(tmp_path / "box", "1", pa.table({"source": [1], "rows": ["x"]}))
    parcel(tmp_path / "box", "2", rows(("a", 1)))
    run(tmp_path / "box", to_folder(tmp_path))
    assert kept(tmp_path) == [("a", 1)] and count_damaged(tmp_path) == 1


def test_a_parcel_that_was_mended_is_delivered_when_asked(tmp_path: Path) -> None:
    box = tmp_path / "box"
    path = parcel(box, "1", rows(("a", 1)))
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    parcel(box, "2", rows(("b", 1)))
    run(box, to_folder(tmp_path))
    run(box, to_folder(tmp_path), again=True)
    assert kept(tmp_path) == [("b", 1)] and count_damaged(tmp_path) == 1
    (box / "1.parquet.damaged").write_bytes(whole)
    run(box, to_folder(tmp_path), again=True)
    assert kept(tmp_path) == [("a", 1), ("b", 1)] and count_damaged(tmp_path) == 0


def test_a_parcel_that_is_spoilt_while_it_waits_keeps_no_other_one_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = tmp_path / "box"
    path = parcel(box, "1", rows(("a", 1)))
    parcel(box, "2", rows(("b", 1)))
    working = delivering.deliver

    def deliver(*words: object, **more: object) -> object:
        if path.exists():
            path.write_bytes(path.read_bytes()[:-20])
        return working(*words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(delivering, "deliver", deliver)
    run(box, to_folder(tmp_path))
    assert kept(tmp_path) == [("b", 1)] and count_damaged(tmp_path) == 1


@pytest.mark.parametrize("what", ["a byte", "its length", "another release"])
def test_whole_tables_behind_a_damaged_one_arrive(what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path / "box", *(rows((name, 1)) for name in "abcd"))
    [segment] = (tmp_path / "box" / NEW).iterdir()
    content, length = segment.read_bytes(), len(segment.read_bytes()) // 4
    if what == "a byte":
        content = flipped(content, length + 100)
    elif what == "its length":
        content = content[:length] + struct.pack("<I", 1 << 31) + content[length + 4 :]
    else:
        content = content[:length] + HEAD.pack(5, 0) + b"other" + content[2 * length :]
    segment.write_bytes(content)
    assert [table is None for table in read_pieces(segment)] == [False, True, False, False]
    with caplog.at_level(logging.ERROR):
        run(tmp_path / "box", to_folder(tmp_path))
    assert kept(tmp_path) == [("a", 1), ("c", 1), ("d", 1)]
    assert [path.name for path in (tmp_path / "box" / NEW).iterdir()] == [f"{segment.name}.damaged"]
    [line] = caplog.messages
    assert f"{segment}: damaged (1 pieces" in line
    assert count_damaged(tmp_path) == 1


def test_a_damaged_line_of_a_journal_has_its_row_alone_sent_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    well = [False]
    with scripted(lambda number, body: (200 if well[0] or body["row"] != 3 else 400, {}, "")) as service:
        action = Action(name="call", when="probability > 0", to=service.address, retries=0)
        box = tmp_path / "box"
        parcel(box, "1", rows(("a", 1), ("a", 2), ("a", 3)))
        run(box, action)
        [receipts] = box.glob("*.receipts.jsonl")
        lines = receipts.read_bytes().splitlines(keepends=True)
        receipts.write_bytes(lines[0][:40] + b"\r\x00\n" + lines[1] + lines[1][:20])
        parcel(box, "2", rows(("b", 1)))
        before = len(service.requests)
        caplog.clear()
        with caplog.at_level(logging.ERROR):
            run(box, action)
        again = json.loads(lines[0])["key"]
        assert sorted(key for key, body in service.requests[before:] if body["source"] == "a") == [again]
        assert [body["row"] for _, body in service.requests[before:] if body["source"] == "b"] == [1]
        assert "1 lines are damaged" in caplog.messages[0] and count_damaged(tmp_path) == 1
        well[0] = True
        run(box, action, again=True)
    assert not list(box.glob("*.parquet")) and not list(box.glob("*.jsonl"))


def test_receipts_of_other_rows_keep_no_other_parcel_from_arriving(tmp_path: Path) -> None:
    box = tmp_path / "box"
    parcel(box, "1", rows(("a", 1)))
    (box / "1.receipts.jsonl").write_text('{"key": "another", "rows": 7}\n')
    parcel(box, "2", rows(("b", 1)))
    run(box, to_folder(tmp_path))
    assert ("b", 1) in kept(tmp_path)
    assert sorted(path.name for path in box.iterdir() if path.is_file()) == [
        "1.parquet.damaged", "1.receipts.jsonl.damaged",
    ]  # fmt: skip
    assert count_damaged(tmp_path) == 1


def test_what_a_disk_does_not_give_is_told_and_arrives_when_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    box, bad = tmp_path / "box", set[Path]()
    put(box, rows(("a", 1)))
    bad |= set((box / NEW).iterdir())
    put(box, rows(("b", 1)))

    def read(path: Path) -> list[pa.Table | None]:
        if path in bad:
            raise OSError(errno.EIO, "Input/output error")
        return read_pieces(path)

    monkeypatch.setattr(delivering, "read_pieces", read)
    with caplog.at_level(logging.ERROR):
        run(box, to_folder(tmp_path))
    assert kept(tmp_path) == [("b", 1)] and set((box / NEW).iterdir()) == bad
    assert caplog.messages == ["actions.keep: [Errno 5] Input/output error"]
    bad.clear()
    run(box, to_folder(tmp_path))
    assert kept(tmp_path) == [("a", 1), ("b", 1)]


def test_a_segment_that_was_mended_is_delivered_when_asked(tmp_path: Path) -> None:
    box = tmp_path / "box"
    put(box, rows(("a", 1)))
    [segment] = (box / NEW).iterdir()
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-1])
    run(box, to_folder(tmp_path))
    aside = segment.with_name(f"{segment.name}.damaged")
    assert aside.exists() and not (tmp_path / "kept").exists()
    aside.write_bytes(whole)
    run(box, to_folder(tmp_path), again=True)
    assert kept(tmp_path) == [("a", 1)] and not aside.exists()


def test_what_failed_once_has_its_turn_however_much_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box, said = tmp_path / "box", list[list[str]]()
    parcel(box, "1", rows(("a", 1)))

    def deliver(_: Action, parcels: Sequence[Any], *words: Any, **more: Any) -> object:
        said.append([each.outbox.stem for each in parcels])
        parcel(box, f"new-{len(said)}", rows((f"new {len(said)}", 1)))
        raise ConnectionError("away")

    monkeypatch.setattr(delivering, "deliver", deliver)
    delivery = Delivery(box, to_folder(tmp_path), RUN, open_table, False)
    for _ in range(3):
        time.sleep(delivering.TROUBLE_SECONDS)
        assert delivery._begin(True)
        for future in wait(delivery._busy).done:
            delivery._finish(future)
    assert said[0] == ["1"] and said.count(["1"]) >= 2 and ["new-1"] in said[:3]


def test_an_error_of_ours_ends_no_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    working, errors = delivering.deliver, [ValueError("of ours"), KeyError("x")]

    def deliver(*words: object, **more: object) -> object:
        if errors:
            raise errors.pop()
        return working(*words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(delivering, "deliver", deliver)
    put(tmp_path / "box", rows(("a", 1)))
    ended = threading.Event()
    delivery = Delivery(tmp_path / "box", to_folder(tmp_path), RUN, open_table, False)
    thread = threading.Thread(target=delivery.run, args=(ended.is_set,))
    with caplog.at_level(logging.ERROR):
        thread.start()
        until(lambda: (tmp_path / "kept").exists())
        ended.set()
        thread.join()
    assert kept(tmp_path) == [("a", 1)]
    assert caplog.messages == ["actions.keep: 'x'", "actions.keep: of ours"]


NOTED: dict[str, Callable[[str], str]] = {
    "cut off": lambda text: text[:-30],
    "empty": lambda text: "",
    "no JSON": lambda text: "\x00" * len(text),
    "another file": lambda text: '{"name": "x"}',
    "another action": lambda text: text.replace('"when"', '"wenn"'),
    "a list of texts": lambda text: '["keep"]',
}


def box_with(tmp_path: Path, name: str, source: str) -> tuple[Path, Action]:
    action = to_folder(tmp_path)
    begin_box(tmp_path / "all" / "m" / name, [action])
    put(tmp_path / "all" / "m" / name / action.name, rows((source, 1)))
    return tmp_path / "all" / "m" / name, action


def look(tmp_path: Path) -> Deliveries:
    """What a process does at one look, to its end."""
    deliveries = Deliveries(Orders(str(tmp_path / "all"), 0, {"m": RUN}, False), lambda: True)
    deliveries.look()
    deliveries.look()
    for thread in deliveries.threads.values():
        thread.join()
    return deliveries


@pytest.mark.parametrize("spoil", NOTED.values(), ids=NOTED.keys())
def test_rows_wait_where_it_is_not_known_where_they_go_and_no_others(
    spoil: Callable[[str], str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box, action = box_with(tmp_path, "1", "a")
    box_with(tmp_path, "2", "b")
    path = box / ACTIONS_FILE
    path.write_text(spoil(path.read_text()))
    with caplog.at_level(logging.ERROR):
        look(tmp_path)
    assert kept(tmp_path) == [("b", 1)] and not path.exists() and count_damaged(tmp_path) == 1
    assert len(caplog.messages) == 2
    assert f"{path}: damaged (" in caplog.messages[0] and "rows wait there" in caplog.messages[1]
    # The next decision of such a version, or the next start with one, notes it again.
    begin_box(box, [action])
    look(tmp_path)
    assert kept(tmp_path) == [("a", 1), ("b", 1)]


def test_what_a_later_release_has_noted_stays_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    box, _ = box_with(tmp_path, "1", "a")
    box_with(tmp_path, "2", "b")
    later = '{"format_version": 2, "steps": []}'
    (box / ACTIONS_FILE).write_text(later)
    with pytest.raises(NewerError, match="format version 2 is newer"):
        read_actions(box)
    with caplog.at_level(logging.ERROR):
        look(tmp_path)
    assert kept(tmp_path) == [("b", 1)] and (box / ACTIONS_FILE).read_text() == later
    [line] = caplog.messages
    assert "upgrade perennial; its rows wait" in line


def test_what_was_noted_before_there_were_versions_is_read(tmp_path: Path) -> None:
    action = to_folder(tmp_path)
    (tmp_path / ACTIONS_FILE).write_text(json.dumps([action.model_dump(mode="json")]))
    assert read_actions(tmp_path) == [action]


def test_a_folder_that_can_not_be_looked_into_keeps_no_other_one_from_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box, _ = box_with(tmp_path, "1", "a")
    box_with(tmp_path, "2", "b")
    (box / ACTIONS_FILE).unlink()
    (box / ACTIONS_FILE).mkdir()
    with caplog.at_level(logging.ERROR):
        look(tmp_path)
    assert kept(tmp_path) == [("b", 1)]
    [line] = caplog.messages
    assert f"{box}: nothing is delivered from it now" in line
