"""The embedded database: made whole or not at all, once, however many ask for it."""

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import UNAUTHENTICATED

from models.errors import OutsideError
from tasks.registry import connection
from tasks.registry.connection import connect, plain_errors
from tests.small import ROOT


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "a home" / "mlflow.db"
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: f"sqlite:///{path}")
    return path


def test_the_database_is_made_where_it_is_missing(database: Path) -> None:
    assert connect().search_experiments()
    assert [path.name for path in database.parent.iterdir()] == ["mlflow.db"]


def test_a_database_that_could_not_be_made_leaves_nothing_behind(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = connection.MlflowClient

    def full(uri: str) -> object:
        Path(uri.removeprefix("sqlite:///")).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(connection, "MlflowClient", full)
    with pytest.raises(OutsideError, match=r"mlflow.db: MLflow's database can't be made \(.*No space left"):
        connect()
    assert list(database.parent.iterdir()) == []
    monkeypatch.setattr(connection, "MlflowClient", real)
    assert connect().search_experiments()


def test_a_file_that_is_no_database_is_named_in_one_line(database: Path) -> None:
    database.parent.mkdir()
    database.write_bytes(b"anything else" * 1000)
    with pytest.raises(OutsideError, match=r"mlflow.db: file is not a database$"), plain_errors("looking"):
        connect().search_experiments()


@pytest.mark.slow
def test_two_processes_may_be_the_first(tmp_path: Path) -> None:
    program = "from tasks.registry.connection import connect; print(len(connect().search_experiments()))"
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    both = [
        subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=120)[0].strip() for process in both] == ["1", "1"]


def test_a_server_that_asks_for_a_password_is_one_line_that_says_how_to_give_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "http://mlflow:5000")
    told = r"^MLflow at http://mlflow:5000 asks for user and password while looking; set MLFLOW_TRACKING_USERNAME and "
    with pytest.raises(OutsideError, match=told), plain_errors("looking"):
        raise MlflowException("failed with error code 401 != 200", error_code=UNAUTHENTICATED)
