"""The addresses and settings that commands tell."""

import itertools
import json
import os
import shlex
import socket
import subprocess
from pathlib import Path
from unittest import mock

import pytest

from flows.environment import QUIET, defaults
from tasks.registry.connection import connect
from tests.conftest import Small
from tests.small import cli, plain


def test_ui_says_where_the_data_is(server: str, home: Path) -> None:
    assert cli("ui", "--print-uri").out.strip() == f"sqlite:///{home}/mlflow.db"
    assert cli("ui", "--print-uri", "--json").json == {"tracking_uri": f"sqlite:///{home}/mlflow.db"}


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_ui_starts_mlflow_on_the_embedded_store_and_links_to_the_runs(
    small: Small, home: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda path, words: started.append(words))
    with mock.patch.dict(os.environ):
        said = cli("ui", "--port", free_port)
    store = f"sqlite:///{home}/mlflow.db"
    assert started[0][1:6] == ["-m", "mlflow", "server", "--backend-store-uri", store]
    options = dict(itertools.pairwise(started[0]))
    assert (options["--port"], options["--host"]) == (str(free_port), "127.0.0.1")
    assert options["--default-artifact-root"] == (home / "artifacts").as_uri()
    number = connect().get_experiment_by_name("small").experiment_id
    page = f"http://127.0.0.1:{free_port}/#/experiments/{number}/runs?workflowType=machine_learning"
    assert f"  small: {page}\n" in said.out
    assert "Default" not in said.out


def test_ui_on_a_port_that_is_taken_is_a_plain_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.execv", lambda *_: pytest.fail("MLflow was started"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = cli("ui", "--port", port)
    plain(said, 3, f"port {port}", "in use", "--port")
    assert said.out == ""


def test_ui_names_a_server_that_runs_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    assert cli("ui").out.strip() == "MLflow runs at http://mlflow.example:5000"


def test_env_sets_everything_in_a_shell(tmp_path: Path) -> None:
    home = tmp_path / "a home"
    clean = {"PATH": os.environ["PATH"]}
    with mock.patch.dict(os.environ, {**clean, "PERENNIAL_HOME": str(home)}, clear=True):
        lines, as_json = cli("env").out, cli("env", "--json").json
    script = f"{lines}\npython3 -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    seen = json.loads(subprocess.run(["sh", "-c", script], env=clean, capture_output=True, check=True).stdout)
    expected = {"PERENNIAL_HOME": str(home), **defaults(home)}
    assert {key: seen.get(key) for key in expected} == expected
    assert set(QUIET) <= set(expected)
    assert f"export PREFECT_HOME={shlex.quote(str(home / 'prefect'))}\n" in lines
    assert as_json == {"settings": expected}


def test_env_shows_no_credential_that_the_environment_holds(tmp_path: Path) -> None:
    given = {"MLFLOW_TRACKING_URI": "http://ada:secret@mlflow.example", "MLFLOW_TRACKING_PASSWORD": "secret"}
    given |= {"AWS_SECRET_ACCESS_KEY": "secret", "PERENNIAL_HOME": str(tmp_path)}
    with mock.patch.dict(os.environ, given, clear=True):
        said = cli("env")
    assert said.code == 0 and "MLFLOW_DISABLE_TELEMETRY" in said.out
    assert "secret" not in said.both
