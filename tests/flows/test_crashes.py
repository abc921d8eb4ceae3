"""Notes of runs that are at work, and what the next command makes of those whose process is gone."""

import json
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.runtime import flow_run

from flows import crashes
from flows.crashes import at_work, running, sweep_crashed
from models.errors import OutsideError
from tasks.aside import held
from tasks.registry.connection import connect
from tasks.registry.runs import RunTitle, mark_crashed, start_run


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder with notes."""
    (tmp_path / "running").mkdir()
    return tmp_path


def noted(state: Path, run_id: str) -> Path:
    """As a killed process leaves it."""
    note = state / "running" / f"{run_id}.json"
    note.write_text(json.dumps({"run_id": run_id}))
    return note


@pytest.mark.parametrize("content", ["", '{"run_id": "dead', "{}", "null", "[1]"])
def test_a_damaged_note_stops_nothing(server: str, home: Path, state: Path, content: str) -> None:
    (state / "running" / "0.json").write_text(content)
    run_id = start_run(RunTitle("crash-runs", "killed", "test"), home)
    noted(state, run_id)
    sweep_crashed(state)
    assert connect().get_run(run_id).info.status == "KILLED"
    assert not list((state / "running").iterdir())


def test_a_note_is_there_as_long_as_the_block_runs(state: Path) -> None:
    with running("1", state):
        assert {path.name for path in (state / "running").iterdir()} == {"1.json", "1.lock"}
        sweep_crashed(state)
        assert json.loads((state / "running" / "1.json").read_text()) == {"run_id": "1"}
    assert not list((state / "running").iterdir())


def test_a_flow_is_noted_though_it_has_no_run_of_mlflow_yet(
    server: str, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked: list[object] = []
    monkeypatch.setattr(crashes, "_mark_flow_run", marked.append)

    @flow
    def look() -> str:
        name = str(flow_run.id)
        with at_work(state):
            assert {path.name for path in (state / "running").iterdir()} == {f"{name}.json", f"{name}.lock"}
            sweep_crashed(state)
            left = (state / "running" / f"{name}.json").read_bytes()
        assert not list((state / "running").iterdir())
        (state / "running" / f"{name}.json").write_bytes(left)
        return name

    killed = look()
    assert marked == []
    sweep_crashed(state)
    assert marked == [UUID(killed)]
    assert not list((state / "running").iterdir())


def test_a_run_that_ends_while_it_is_looked_at_is_none_to_mark(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = noted(state, "ended")

    def held_late(path: Path, holder: str) -> AbstractContextManager[Any]:
        note.unlink()
        return held(path, holder)

    monkeypatch.setattr(crashes, "held", held_late)
    sweep_crashed(state)
    assert not list((state / "running").iterdir())


def test_a_run_that_goes_on_waits_until_it_is_marked(server: str, home: Path, state: Path) -> None:
    run_id = start_run(RunTitle("crash-runs", "goes on", "test"), home)
    lock = held(state / "running" / f"{run_id}.lock", "123")
    lock.__enter__()

    def sweep() -> None:
        mark_crashed(run_id, "gone")
        lock.__exit__(None, None, None)

    sweeper = threading.Timer(0.3, sweep)
    sweeper.start()
    with running(run_id, state):
        assert not sweeper.is_alive() or sweeper.join() is None
        run = connect().get_run(run_id)
        assert run.info.status == "RUNNING" and "crashed" not in run.data.tags


def test_a_lock_that_is_never_let_go_is_one_plain_error(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crashes, "PATIENCE_SECONDS", 0.1)
    wait = pytest.raises(OutsideError, match=r"r\.lock: held by process 123 for too long")
    with held(state / "running" / "r.lock", "123"), wait, running("r", state):
        pass


def test_a_note_stays_until_mlflow_can_be_told(
    server: str, home: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = start_run(RunTitle("crash-runs", "killed in an outage", "test"), home)
    note = noted(state, run_id)
    with monkeypatch.context() as outage:
        outage.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        sweep_crashed(state)
    assert note.exists() and connect().get_run(run_id).info.status == "RUNNING"
    sweep_crashed(state)
    assert not note.exists() and connect().get_run(run_id).info.status == "KILLED"


def test_a_run_that_is_gone_needs_no_mark(server: str, home: Path, state: Path) -> None:
    run_id = start_run(RunTitle("crash-runs", "deleted", "test"), home)
    connect().delete_run(run_id)
    for each in (run_id, "0" * 32):
        noted(state, each)
    sweep_crashed(state)
    assert not list((state / "running").iterdir())
