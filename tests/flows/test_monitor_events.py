"""What follows from windows that have drifted, and what windows of a model know of each other."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from models.contract import read_contract, write_contract
from models.sections import Monitor
from tests.conftest import Copy, Small
from tests.small import cli, plain, table

Emitted = Callable[[], list[Any]]
Watch = Callable[..., Any]


@pytest.fixture
def emitted(server: str) -> Iterator[Emitted]:
    """A function that gives the events that were handed to Prefect, in their order."""
    from prefect.events.clients import AssertingEventsClient
    from prefect.events.worker import EventsWorker

    AssertingEventsClient.reset()
    EventsWorker.set_client_override(AssertingEventsClient)
    sent = AssertingEventsClient.all
    yield lambda: [event for client in sent for event in client.events if event.event.startswith("perennial.")]
    EventsWorker.set_client_override(None)
    EventsWorker.drain_all()


@pytest.fixture
def named(small: Small, copy: Copy, tmp_path: Path) -> Callable[..., None]:
    """A function that registers the small model with its profile under another name."""

    def make(name: str, **rules: int) -> None:
        folder = tmp_path / f"copy-{name}"
        if not folder.exists():
            shutil.copytree(small.downloaded, folder)
            write_contract(read_contract(folder).model_copy(update={"name": name}), folder)
        copy(name, monitor=Monitor(**rules))

    return make


def window(folder: Path, seed: int, shifted: bool = False) -> Path:
    frame = table(300, seed=seed).drop(columns="broken")
    if shifted:
        frame["heat"] += 20
    folder.mkdir(exist_ok=True)
    path = folder / f"{seed}.csv"
    frame.to_csv(path, index=False)
    return path


def test_the_second_of_five_windows_that_drifts_emits_an_event(
    named: Callable[..., None], emitted: Emitted, tmp_path: Path
) -> None:
    named("plant")
    runs = []
    for seed, shifted, breaches, event in [
        (11, True, 1, None),
        (12, False, 1, None),
        (13, True, 2, "perennial.model.drifted"),
    ]:
        said = cli("monitor", "plant/1", "--input", window(tmp_path / "in", seed, shifted), "--json")
        assert said.code == int(shifted), said.both
        told = said.json
        assert (told["windows"], told["breaches"], told["event"]) == (len(runs) + 1, breaches, event)
        runs.append(told["run_id"])
    (event,) = emitted()
    assert (event.event, event.resource.id) == ("perennial.model.drifted", "perennial.model.plant")
    payload = event.payload
    assert (payload["model"], payload["version"], payload["run_id"]) == ("plant", "1", runs[2])
    assert "heat" in payload["columns"] and "load" not in payload["columns"]
    assert [(w["run_id"], w["drifted"]) for w in payload["windows"]] == [
        (runs[2], True), (runs[1], False), (runs[0], True),
    ]  # fmt: skip
    said = cli("monitor", "plant/1", "--input", tmp_path / "in" / "13.csv", "--json")
    assert (said.json["windows"], said.json["breaches"], said.json["event"]) == (3, 2, None)
    assert len(emitted()) == 1
    said = cli("monitor", "plant/1", "--input", window(tmp_path / "in", 14, True))
    assert "drift in 3 of the last 4 windows of this version: event perennial.model.drifted" in said.out
    assert len(emitted()) == 2


def test_windows_of_other_models_and_versions_and_those_that_failed_are_no_breaches(
    named: Callable[..., None], emitted: Emitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.monitoring import report

    named("other")
    named("other")
    named("another")
    first, second = window(tmp_path / "in", 21, True), window(tmp_path / "in", 22, True)
    assert cli("monitor", "other/1", "--input", first).code == 1
    assert cli("monitor", "another/1", "--input", first).code == 1
    with monkeypatch.context() as broken:
        broken.setattr(report, "render_report", lambda *_: 1 / 0)
        assert cli("monitor", "other/2", "--input", first).code == 3
    told = cli("monitor", "other/2", "--input", second, "--json").json
    assert (told["windows"], told["breaches"], told["event"]) == (1, 1, None)
    assert emitted() == []


def test_the_model_file_of_the_version_says_how_many_breaches_are_too_many(
    named: Callable[..., None], emitted: Emitted, tmp_path: Path
) -> None:
    named("strict", windows=1, breaches=1)
    assert cli("monitor", "strict/1", "--input", window(tmp_path / "in", 31, True), "--json").json["event"]
    assert len(emitted()) == 1


def test_new_files_are_those_that_no_window_of_the_model_has_read(named: Callable[..., None], tmp_path: Path) -> None:
    named("fed")
    folder = window(tmp_path / "in", 41).parent
    fed = ("monitor", "fed/1", "--input", folder, "--new")
    assert cli(*fed, "--json").json["rows"] == 300
    again = cli("monitor", "fed/1", "--input", folder / "41.csv", "--json").json
    assert again["windows"] == 1
    said = cli(*fed)
    assert (said.code, said.out) == (0, "no new files: earlier windows have read all there are\n")
    named("fed")
    window(folder, 42)
    assert cli("monitor", "fed/2", *fed[2:], "--json").json["rows"] == 300
    window(folder, 43)
    assert cli("monitor", "fed/2", "--input", folder / "43.csv", "--json").json["rows"] == 300
    assert cli(*fed, "--json").json["skipped"]
    window(folder, 41, shifted=True)
    assert cli(*fed, "--json").json["rows"] == 300
    assert cli("monitor", "fed/1", "--input", folder, "--json").json["rows"] == 900


def test_a_schedule_may_begin_before_there_is_a_champion(
    named: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import monitor

    named("early")
    fed = ("--input", window(tmp_path / "in", 61), "--new")
    plain(cli("monitor", "early", *fed), 2, "early: has no champion yet")
    monkeypatch.setattr(monitor, "is_deployed", lambda: True)
    said = cli("monitor", "early", *fed)
    assert (said.code, said.out.split(";")[0]) == (0, "early: has no champion yet")
    assert cli("monitor", "untrained", *fed, "--json").json["skipped"].startswith("untrained: no such model")


def test_new_rows_of_a_table_are_not_told_by_files(small: Small, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "rows.db") as db:
        table(9).to_sql("rows", db, index=False)
    uri = f"sqlite:///{tmp_path}/rows.db#rows"
    plain(cli("monitor", "small", "--input", uri, "--key", "id", "--new"), 2, "--new is for files", "--since")
