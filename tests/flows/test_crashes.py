"""Notes of runs that are at work, and what the next command makes of those whose process is gone."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from flows.crashes import running, sweep_crashed
from tasks.registry.connection import connect
from tasks.registry.runs import RunTitle, start_run

NOBODY = uuid4()
"""No flow run."""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder with notes."""
    (tmp_path / "running").mkdir()
    return tmp_path


def noted(state: Path, run_id: str) -> Path:
    """As a killed process leaves it."""
    note = state / "running" / f"{run_id}.json"
    note.write_text(json.dumps({"run_id": run_id, "flow_run_id": str(NOBODY)}))
    return note


@pytest.mark.parametrize("content", ["", '{"run_id": "dead', "{}", "null", '{"run_id": "a", "flow_run_id": null}'])
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
        assert json.loads((state / "running" / "1.json").read_text())["run_id"] == "1"
    assert not list((state / "running").iterdir())
