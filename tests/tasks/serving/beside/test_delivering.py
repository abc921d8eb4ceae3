"""From segments to where actions send: each row at least once, and by its key once."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from models.actions import Action
from tasks.actions.letters import key_of
from tasks.actions.tabletarget import open_table
from tasks.serving.beside import delivering
from tasks.serving.beside.boxes import NEW
from tasks.serving.beside.decisions import together
from tasks.serving.beside.delivering import Delivery
from tasks.serving.beside.segments import Segment
from tests.tasks.actions.services import Reply, scripted

RUN = "serve-m"


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(delivering, "TROUBLE_SECONDS", 0.05)
    monkeypatch.setattr(delivering, "HELD_SECONDS", 0.05)
    monkeypatch.setattr(delivering, "GATHER_SECONDS", 0.05)


def rows(*named: tuple[str, int], run_id: str = RUN, **more: object) -> pa.Table:
    """As `select` gives them."""
    constants = {"model": "m", "model_version": "1", "run_id": run_id}
    columns = {name: [value] * len(named) for name, value in (constants | more).items()}
    return pa.table(columns | {"source": [name for name, _ in named], "row": [row for _, row in named]})


def put(folder: Path, *tables: pa.Table) -> None:
    segment = Segment(folder / NEW)
    segment.append(tables)
    segment.close()


def run(folder: Path, action: Action, again: bool = False) -> None:
    """Delivers what is there."""
    Delivery(folder, action, RUN, open_table, again).run(lambda: True)


def to_folder(tmp_path: Path) -> Action:
    return Action(name="keep", when="probability > 0", to=str(tmp_path / "kept"))


def kept(tmp_path: Path) -> list[tuple[str, int]]:
    found = pd.concat([pd.read_parquet(path) for path in sorted((tmp_path / "kept").glob("*.parquet"))])
    return sorted(zip(found["source"].tolist(), found["row"].tolist(), strict=True))


def left(folder: Path) -> list[str]:
    """Files of rows and of what became of them."""
    return [path.name for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]


def test_rows_of_several_segments_arrive_and_nothing_is_left(tmp_path: Path) -> None:
    put(tmp_path / "box", rows(("a", 1), ("a", 2)), rows(("b", 1)))
    put(tmp_path / "box", rows(("c", 1)))
    run(tmp_path / "box", to_folder(tmp_path))
    assert kept(tmp_path) == [("a", 1), ("a", 2), ("b", 1), ("c", 1)]
    assert left(tmp_path / "box") == []


def test_a_request_that_is_repeated_leads_to_one_row(tmp_path: Path) -> None:
    put(tmp_path / "box", rows(("a", 1), ("a", 1)), rows(("a", 1)))
    ended, delivery = threading.Event(), Delivery(tmp_path / "box", to_folder(tmp_path), RUN, open_table, False)
    thread = threading.Thread(target=delivery.run, args=(ended.is_set,))
    thread.start()
    until(lambda: (tmp_path / "kept").exists() and not left(tmp_path / "box"))
    put(tmp_path / "box", rows(("a", 1), ("a", 2)))
    until(lambda: len(list((tmp_path / "kept").glob("*.parquet"))) == 2)
    ended.set()
    thread.join()
    assert kept(tmp_path) == [("a", 1), ("a", 2)]


def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        threading.Event().wait(0.02)
    raise AssertionError


class KilledError(BaseException):
    """Stands for SIGKILL: nothing behind it is run."""


@pytest.mark.parametrize("step", ["_write_parcel", "_remember", "left", "_take_away"])
def test_a_kill_at_any_step_loses_and_doubles_nothing(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KilledError

    put(tmp_path / "box", rows(("a", 1), ("b", 1)))
    with monkeypatch.context() as patched:
        if step == "left":
            patched.setattr(delivering, "flush_to_disk", killed)
        else:
            patched.setattr(Delivery, step, killed)
        with pytest.raises(KilledError):
            run(tmp_path / "box", to_folder(tmp_path))
    run(tmp_path / "box", to_folder(tmp_path))
    assert kept(tmp_path) == [("a", 1), ("b", 1)]
    assert left(tmp_path / "box") == []


def test_a_kill_between_two_parcels_loses_and_doubles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing, written = delivering.write_outbox, []

    def write(path: Path, table: pa.Table) -> None:
        if written:
            raise KilledError
        written.append(path)
        writing(path, table)

    put(tmp_path / "box", rows(("a", 1), ("b", 1), id=1), rows(("c", 1), id="x"))
    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr(delivering, "write_outbox", write)
        run(tmp_path / "box", to_folder(tmp_path))
    run(tmp_path / "box", to_folder(tmp_path))
    assert kept(tmp_path) == [("a", 1), ("b", 1), ("c", 1)]
    assert left(tmp_path / "box") == []


def test_a_disk_that_is_full_for_a_while_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "box", rows(("a", 1)))
    writing, refusals = delivering.write_outbox, [True, True]

    def write(path: Path, table: pa.Table) -> None:
        if refusals:
            refusals.pop()
            raise OSError(28, "No space left on device", str(path))
        writing(path, table)

    monkeypatch.setattr(delivering, "write_outbox", write)
    ended = threading.Event()
    thread = threading.Thread(
        target=Delivery(tmp_path / "box", to_folder(tmp_path), RUN, open_table, False).run, args=(ended.is_set,)
    )
    thread.start()
    until(lambda: (tmp_path / "kept").exists())
    ended.set()
    thread.join()
    assert kept(tmp_path) == [("a", 1)]


def test_a_key_is_that_of_request_and_row_alone(tmp_path: Path) -> None:
    with scripted(lambda number, body: (200, {}, "")) as service:
        action = Action(name="call", when="probability > 0", to=service.address)
        put(tmp_path / "one", rows(("a", 1), ("a", 2), model_version="1"))
        put(tmp_path / "two", rows(("a", 1), model_version="2", load=3.0))
        for box in ("one", "two"):
            run(tmp_path / box, action)
    keys = {(body["source"], body["row"]): key for key, body in service.requests}
    assert len(service.requests) == 3
    assert keys == {("a", row): key_of(RUN, "call", "a", row) for row in (1, 2)}


def test_what_is_refused_is_a_dead_letter_that_is_sent_again_when_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    well = [False]

    def reply(number: int, body: dict[str, object]) -> Reply:
        return (200, {}, "") if well[0] or body["source"] == "good" else (400, {}, "no such order")

    with scripted(reply) as service, caplog.at_level(logging.ERROR):
        action = Action(name="call", when="probability > 0", to=service.address)
        put(tmp_path / "box", rows(("good", 1), ("bad", 1)))
        run(tmp_path / "box", action)
        assert "1 rows could not be delivered" in caplog.messages[0]
        (dead,) = (tmp_path / "box").glob("*.dead.jsonl")
        assert "no such order" in dead.read_text()
        run(tmp_path / "box", action)
        assert len(service.requests) == 2
        well[0] = True
        run(tmp_path / "box", action, again=True)
        assert [body["source"] for _, body in service.requests][2:] == ["bad"]
    assert left(tmp_path / "box") == []


def test_a_row_that_is_refused_for_a_while_keeps_no_other_one_waiting(tmp_path: Path) -> None:
    released = threading.Event()

    def reply(number: int, body: dict[str, object]) -> Reply:
        return (200, {}, "") if body["source"] != "slow" or released.is_set() else (500, {}, "")

    with scripted(reply) as service:
        delivery = Delivery(
            tmp_path / "box", Action(name="call", when="probability > 0", to=service.address), RUN, open_table, False
        )
        ended = threading.Event()
        thread = threading.Thread(target=delivery.run, args=(ended.is_set,))
        put(tmp_path / "box", rows(("slow", 1)))
        thread.start()
        until(lambda: len(service.requests) > 0)
        put(tmp_path / "box", rows(("quick", 1)))
        until(lambda: any(body["source"] == "quick" for _, body in service.requests))
        released.set()
        ended.set()
        thread.join()
    assert left(tmp_path / "box") == []


def test_two_servers_do_not_deliver_the_same(tmp_path: Path) -> None:
    ended = threading.Event()
    deliveries = [Delivery(tmp_path / "box", to_folder(tmp_path), RUN, open_table, False) for _ in range(2)]
    (tmp_path / "box").mkdir()
    threads = [threading.Thread(target=each.run, args=(ended.is_set,)) for each in deliveries]
    for thread in threads:
        thread.start()
    wanted = [(f"r{number}", 1) for number in range(20)]
    for named in wanted:
        put(tmp_path / "box", rows(named))
    until(lambda: (tmp_path / "kept").exists() and not left(tmp_path / "box"))
    ended.set()
    for thread in threads:
        thread.join()
    assert kept(tmp_path) == sorted(wanted)


def test_rows_of_like_types_are_one_table_and_no_value_changes_its_type() -> None:
    cells: list[list[object]] = [[1], ["x"], [2.5], [None], [True], ["y"]]
    found = together([pa.table({"id": pa.array(some)}) for some in cells])
    assert [table["id"].to_pylist() for table in found] == [[1.0, 2.5, None], ["x", "y"], [True]]
