from pathlib import Path

import pytest

from flows import environment
from flows.environment import prepare, project_folder, state_folder
from models.errors import InputError
from tests.small import ROOT


def test_state_lives_in_the_project_unless_said_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "project_folder", lambda: tmp_path)
    environ: dict[str, str] = {}
    assert prepare(environ) == tmp_path / ".perennial"
    assert environ["PERENNIAL_HOME"] == str(tmp_path / ".perennial")
    assert environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/.perennial/mlflow.db"
    assert Path(environ["PREFECT_HOME"]).is_dir()


def test_the_environment_wins_over_the_file_and_the_file_over_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow.env").write_text(
        "# a comment\n\nMLFLOW_TRACKING_URI = postgresql://db/x\nMLFLOW_A=${PERENNIAL_HOME}/a\nMLFLOW_B=file\n"
    )
    monkeypatch.setattr(environment, "project_folder", lambda: tmp_path)
    environ = {"PERENNIAL_HOME": str(tmp_path / "h"), "MLFLOW_B": "environment", "PREFECT_HOME": "/p"}
    prepare(environ)
    assert environ["MLFLOW_TRACKING_URI"] == "postgresql://db/x"
    assert environ["MLFLOW_A"] == f"{tmp_path}/h/a"
    assert environ["MLFLOW_B"] == "environment"
    assert environ["PREFECT_HOME"] == "/p"


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    environ = {"PERENNIAL_HOME": str(tmp_path)}
    prepare(environ)
    before = dict(environ)
    prepare(environ)
    assert environ == before


def test_the_project_is_this_checkout(home: Path) -> None:
    assert project_folder() == ROOT
    assert state_folder() == home


def test_a_state_folder_that_sqlite_cannot_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be the state folder"):
        prepare({"PERENNIAL_HOME": str(tmp_path / "what?")})
    assert list(tmp_path.iterdir()) == []
