from pathlib import Path

import pytest
import typer

from flows import demo
from models.errors import RefusedError
from tests.small import cli, command, finished


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


@pytest.mark.slow
def test_the_demo_plays_to_its_end(tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings = {
        "PERENNIAL_HOME": str(home),
        "PREFECT_HOME": str(home / "prefect"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
    }
    done = finished(command("demo", **settings), timeout=280)
    assert done.code == 0, done.both
    assert "digits version 1 is champion now" in done.out
    assert "100 rows: 100 scored with digits version" in done.out
    assert "Done." in done.out
    assert (home / "demo" / "digits" / "scored-2" / "predictions.parquet").exists()
