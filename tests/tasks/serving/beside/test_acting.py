"""Answers wait until the rows that actions take are on the disk."""

import asyncio
import json
import os
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from models.actions import Action
from tasks.actions.outbox import ACTIONS_FILE
from tasks.serving.beside.acting import Acting
from tasks.serving.beside.boxes import NEW, box_of
from tasks.serving.beside.segments import read_segment
from tasks.serving.problem import RequestError
from tasks.serving.served import Served
from tests.tasks.serving.beside.answers import answer, load
from tests.tasks.serving.beside.deciding import write_acting
from tests.tasks.serving.versions import write_version

REPAIR = Action(name="repair", when='label == "high"', to="http://localhost:1", columns=("id", "load", "probability"))
WATCH = Action(name="watch", when="probability_high < 0.5", to="/tmp/watched")


@pytest.fixture
def served(tmp_path: Path) -> Served:
    write_acting(tmp_path / "version", REPAIR, WATCH)
    return load(tmp_path / "version", version="4")


def rows_on_disk(above: Path, served: Served, action: str) -> list[dict[str, Any]]:
    """Whoever holds the segments, what a kill at this instant would leave."""
    folder = box_of(above, served.contract) / action / NEW
    tables = [table for path in sorted(folder.glob("*.rows")) for table in read_segment(path)]
    return [row for table in tables for row in table.to_pylist()]


def decided(above: Path, served: Served, requests: Sequence[tuple[str, list[dict[str, Any]]]]) -> list[object]:
    """What came of requests at once: nothing, or an error; rows are looked at before anything is closed."""

    async def ask() -> list[object]:
        asked = (acting.answered(answer(served, rows, name)) for name, rows in requests)
        return await asyncio.gather(*asked, return_exceptions=True)

    acting = Acting(above)
    try:
        return asyncio.run(ask())
    finally:
        acting.close()


def test_rows_are_on_the_disk_before_the_answer_leaves(served: Served, tmp_path: Path) -> None:
    async def ask() -> None:
        rows = [{"load": 2.0, "id": 17}, {"load": -1.0, "id": "x"}, {"load": 3.5, "id": 18}]
        await acting.answered(answer(served, rows, "first"))
        repaired = rows_on_disk(tmp_path / "box", served, "repair")
        assert [(row["source"], row["row"], row["id"], row["load"]) for row in repaired] == [
            ("first", 1, 17, 2.0), ("first", 3, 18, 3.5),
        ]  # fmt: skip
        named = {"model": "sorted", "model_version": "4", "run_id": "serve-sorted", "source": "first", "row": 1}
        assert repaired[0] == named | {"id": 17, "load": 2.0, "probability": 0.75}
        assert [row["row"] for row in rows_on_disk(tmp_path / "box", served, "watch")] == [2]

    acting = Acting(tmp_path / "box")
    asyncio.run(ask())
    acting.close()
    told = json.loads((box_of(tmp_path / "box", served.contract) / ACTIONS_FILE).read_text())
    assert [Action.model_validate(each) for each in told["actions"]] == [REPAIR, WATCH]
    assert told["format_version"] == 1


def test_requests_at_once_are_written_at_once(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("tasks.serving.beside.segments.os.fdatasync", synced.append)
    found = decided(tmp_path / "box", served, [(f"r{n}", [{"load": 1.0}]) for n in range(100)])
    assert found == [None] * 100
    assert len(rows_on_disk(tmp_path / "box", served, "repair")) == 100
    assert 1 <= len(synced) < 20


def test_a_decision_that_cannot_be_kept_is_no_answer(served: Served, tmp_path: Path) -> None:
    (tmp_path / "box").write_text("no folder")
    found = decided(tmp_path / "box", served, [("a", [{"load": 1.0}]), ("b", [{"load": -1.0}])])
    errors = [error for error in found if isinstance(error, RequestError)]
    assert [(error.status, error.headers) for error in errors] == [
        (HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "1"})
    ] * 2


def test_a_segment_that_took_half_a_table_is_not_used_again(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = [True]

    def sync(descriptor: int) -> None:
        if full.pop() if full else False:
            os.truncate(descriptor, 10)
            raise OSError(28, "No space left on device")

    async def ask() -> None:
        with pytest.raises(RequestError, match="send the request again"):
            await acting.answered(answer(served, [{"load": 1.0}], "a"))
        await acting.answered(answer(served, [{"load": 1.0}], "a"))

    monkeypatch.setattr("tasks.serving.beside.segments.os.fdatasync", sync)
    acting = Acting(tmp_path / "box")
    asyncio.run(ask())
    acting.close()
    assert [row["source"] for row in rows_on_disk(tmp_path / "box", served, "repair")] == ["a"]


def test_a_version_without_actions_waits_for_nothing(tmp_path: Path) -> None:
    write_version(tmp_path / "version")
    served = load(tmp_path / "version")
    assert decided(tmp_path / "box", served, [("a", [{"load": 1.0, "shop": None}])]) == [None]
    assert not (tmp_path / "box").exists()
