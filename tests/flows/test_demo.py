import socket
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import typer

from flows import demo
from models.errors import RefusedError
from models.modelfile import read_model_file
from tasks.examples.refunds import PORT
from tests.small import cli, command, finished, plain


def test_the_story_is_told_with_the_commands_of_a_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "state_folder", lambda: tmp_path)
    ran: list[list[str]] = []

    def run(words: list[str]) -> None:
        ran.append(words)
        if words[0] == "retrain":
            raise typer.Exit(1)
        if words[0] == "rollback":
            raise RefusedError("digits: has no previous champion to go back to")

    played = demo.run_demo(run)
    told = capsys.readouterr().out
    assert [words[0] for words in ran] == [
        "new",
        "train",
        "promote",
        "score",
        "retrain",
        "score",
        "rollback",
        "history",
    ]
    assert "(exit code 1)" in told and "has no previous champion" in told
    assert f"model file    {tmp_path}/demo/digits/digits.toml" in played.lines()
    folder = tmp_path / "demo" / "digits"
    assert played.predictions == (folder / "scored-1", folder / "scored-2")
    monkeypatch.setattr(demo, "run_demo", lambda _: played)
    assert cli("demo", "--json").json == {
        "model": "digits",
        "model_file": str(folder / "digits.toml"),
        "predictions": [str(folder / "scored-1"), str(folder / "scored-2")],
        "home": str(tmp_path),
    }
    monkeypatch.undo()
    monkeypatch.setattr(demo, "state_folder", lambda: tmp_path)
    rows = [sum(1 for _ in path.open()) - 1 for path in sorted((tmp_path / "demo" / "digits" / "arrived").iterdir())]
    assert sum(rows) == 1797
    demo.run_demo(run)
    assert (tmp_path / "demo" / "digits-2").is_dir()


def test_an_example_is_made_checked_trained_promoted_and_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "state_folder", lambda: tmp_path)
    ran: list[list[str]] = []

    def run(words: list[str]) -> None:
        ran.append(words)
        if words[0] == "promote":
            raise typer.Exit(1)

    played = demo.run_example("digits", run)
    folder = tmp_path / "demo" / "digits"
    file, scored = str(folder / "digits.toml"), str(folder / "scored")
    assert ran == [
        ["check", file],
        ["train", file],
        ["promote", "digits"],
        ["score", "digits@challenger", "--input", str(folder / "digits.csv"), "--output", scored],
    ], "without a champion, the version that was refused scores"
    assert (folder / "digits.toml").is_file() and (folder / "digits.csv").is_file()
    assert "(exit code 1)" in capsys.readouterr().out, "a refusal is part of the story"
    assert (played.model, played.predictions, played.home) == ("digits", (folder / "scored",), tmp_path)
    assert demo.run_example("digits", run).model == "digits-2", "nothing of an earlier demo is written over"


def test_the_service_that_an_example_calls_runs_as_long_as_its_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "state_folder", lambda: tmp_path)
    called: list[str] = []

    def run(words: list[str]) -> None:
        if words[0] == "score":
            called.append(read_model_file(tmp_path / "demo/support-messages/support-messages.toml").actions[0].to)
            for _ in range(2):
                httpx.post(called[0], json={"row": 1}, headers={"Idempotency-Key": "a"}, timeout=10)

    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            taken.bind(("127.0.0.1", PORT))
            taken.listen()
        demo.run_example("support-messages", run)
    assert called[0].startswith("http://127.0.0.1:") and f":{PORT}/" not in called[0], "where the usual port is taken"
    assert "Refunds that the service has paid, each once: 1." in capsys.readouterr().out
    with pytest.raises(httpx.ConnectError):
        httpx.get(called[0])


def test_an_example_that_fails_ends_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "state_folder", lambda: tmp_path)
    ran: list[str] = []

    def run(words: list[str]) -> None:
        ran.append(words[0])
        raise typer.Exit(3)

    with pytest.raises(typer.Exit):
        demo.run_example("digits", run)
    assert ran == ["check"]


def test_an_unknown_example_is_one_plain_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "state_folder", lambda: tmp_path)
    plain(cli("demo", "traffic-sign"), 2, "'traffic-sign': no such example; did you mean 'traffic-signs'?")
    assert not (tmp_path / "demo").exists()
    assert set(demo.list_examples()) == set(demo.EXAMPLES)


def played(said: str) -> None:
    assert "digits version 1 is champion now" in said
    assert "100 rows: 100 scored with digits version" in said
    assert "Done." in said


@pytest.mark.slow
@pytest.mark.usefixtures("server", "no_evaluation")
def test_the_demo_plays_to_its_end(home: Path) -> None:
    done = cli("demo")
    assert done.code == 0, done.both
    played(done.out)
    assert (home / "demo" / "digits" / "scored-2" / "predictions").exists()


@pytest.mark.soak
def test_the_demo_is_the_first_command_of_a_new_checkout(tmp_path: Path) -> None:
    """Nothing is there yet: it makes both databases, has a Prefect server of its own, and judges in full."""
    home = tmp_path / "home"
    settings = {
        "PERENNIAL_HOME": str(home),
        "PREFECT_HOME": str(home / "prefect"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
    }
    done = finished(command("demo", **settings), timeout=280)
    assert done.code == 0, done.both
    played(done.out)
    assert (home / "demo" / "digits" / "scored-2" / "predictions").exists()
