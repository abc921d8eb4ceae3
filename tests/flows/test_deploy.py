from pathlib import Path

import pytest

from flows.deploy import _environment, deployments_of, next_steps
from flows.servers import POOL, Servers, alone
from models.modelfile import read_model_file
from tests.small import Outcome, cli, plain, write_model

FLOWS = ("train", "retrain", "promote", "score", "monitor")
NIGHTLY = '[schedule]\nretrain = "0 3 * * *"\ntimezone = "Europe/Zurich"\n'


def test_deployments_carry_schedule_and_parameters_and_are_registered_once(
    server: str, tmp_path: Path, home: Path
) -> None:
    from prefect.client.orchestration import get_client

    file = write_model(tmp_path, "nightly", rest=NIGHTLY)
    said = cli("deploy", file, "--json")
    assert said.code == 0, said.both
    names = ["train/nightly", "retrain/nightly", "promote/nightly", "score/nightly", "monitor/nightly"]
    assert said.json["deployments"] == names
    with get_client(sync_client=True) as client:
        first = [client.read_deployment_by_name(name) for name in names]
        train, retrain, promote, score, monitor = first
        assert retrain.parameters == train.parameters == {"model_file": str(file)}
        assert promote.parameters == score.parameters == monitor.parameters == {"model": "nightly"}
        (nightly,) = retrain.schedules
        assert (nightly.schedule.cron, nightly.schedule.timezone) == ("0 3 * * *", "Europe/Zurich")
        assert [d.schedules for d in (train, promote, score, monitor)] == [[], [], [], []]
        assert {d.work_pool_name for d in first} == {POOL}
        assert {"input", "output", "keep", "overwrite", "promote"} <= set(score.parameter_openapi_schema["properties"])
        assert retrain.job_variables["env"]["PERENNIAL_HOME"] == str(home)
        assert retrain.job_variables["env"]["MLFLOW_TRACKING_URI"] == f"sqlite:///{home}/mlflow.db"
        assert client.read_work_pool(POOL).type == "process"
        assert cli("deploy", file).code == 0
        again = [client.read_deployment_by_name(name) for name in names]
        assert [d.id for d in again] == [d.id for d in first]
        assert len(again[1].schedules) == 1


def test_a_schedule_that_was_taken_out_is_gone_after_the_next_deploy(server: str, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client

    file = write_model(tmp_path, "daily", rest=NIGHTLY)
    assert cli("deploy", file).code == 0
    file.write_text(file.read_text().replace(NIGHTLY, ""))
    assert cli("deploy", file).code == 0
    with get_client(sync_client=True) as client:
        assert client.read_deployment_by_name("retrain/daily").schedules == []


def test_deployments_go_with_their_model_file(server: str, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    kept, gone = write_model(tmp_path, "kept"), write_model(tmp_path, "gone")
    assert cli("deploy", kept, gone).code == 0
    gone.unlink()
    planned = changes(cli("deploy", kept, "--dry-run", "--json"))
    removed = {f"{flow}/gone": ("removed", f"{gone} is gone") for flow in FLOWS}
    unchanged = {f"{flow}/kept": ("unchanged", "") for flow in FLOWS}
    assert planned == removed | unchanged
    with get_client(sync_client=True) as client:
        client.read_deployment_by_name("score/gone")
        assert changes(cli("deploy", kept, "--json")) == planned
        with pytest.raises(ObjectNotFound):
            client.read_deployment_by_name("score/gone")
    assert changes(cli("deploy", kept, "--json")) == unchanged


def test_deployments_of_a_model_that_was_made_elsewhere_go_with_its_file_too(server: str, tmp_path: Path) -> None:
    """None of them takes the model file as a parameter."""
    kept, gone = (
        write_model(tmp_path, "kept-here"),
        write_model(tmp_path, "made-elsewhere", quick="", rest="[graph]\nunseen = true\n"),
    )
    assert cli("deploy", kept, gone).code == 0
    gone.unlink()
    planned = changes(cli("deploy", kept, "--json"))
    removed = {f"{flow}/made-elsewhere": ("removed", f"{gone} is gone") for flow in ("promote", "score", "monitor")}
    assert planned == removed | {f"{flow}/kept-here": ("unchanged", "") for flow in FLOWS}


def test_a_dry_run_says_what_would_change_and_changes_nothing(server: str, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client

    file = write_model(tmp_path, "before")
    assert changes(cli("deploy", file, "--dry-run", "--json"))["retrain/before"] == ("new", "")
    assert cli("deploy", file).code == 0
    file.write_text(file.read_text() + NIGHTLY)
    said = cli("deploy", file, "--dry-run")
    assert "changed    retrain/before  schedule" in said.out and "next:" not in said.out
    with get_client(sync_client=True) as client:
        assert client.read_deployment_by_name("retrain/before").schedules == []
    file.write_text(file.read_text().replace('"before"', '"after"', 1))
    planned = changes(cli("deploy", file, "--dry-run", "--json"))
    assert planned["train/before"] == ("removed", f"{file} names another model now")
    assert planned["train/after"] == ("new", "")


def changes(said: Outcome) -> dict[str, tuple[str, str]]:
    assert said.code == 0, said.both
    return {each["deployment"]: (each["change"], each["why"]) for each in said.json["changes"]}


def test_two_model_files_of_one_name_are_refused_and_nothing_is_deployed(server: str, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    first, second = write_model(tmp_path, "same"), tmp_path / "second.toml"
    second.write_text(first.read_text())
    plain(cli("deploy", first, second), 2, "second.toml", "'same'")
    with get_client(sync_client=True) as client, pytest.raises(ObjectNotFound):
        client.read_deployment_by_name("train/same")


def test_descriptions_name_the_model(tmp_path: Path) -> None:
    file = write_model(tmp_path, "told")
    found = deployments_of(file, read_model_file(file))
    assert all("told" in deployment.description for deployment in found)


def test_the_next_step_is_a_worker_and_a_server_where_none_is_named(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example/api")
    assert next_steps() == ["next: prefect worker start --pool perennial"]
    monkeypatch.delenv("PREFECT_API_URL")
    assert next_steps() == [f"next: PERENNIAL_HOME={home} perennial up   (servers, and a worker that runs them)"]


def test_beside_an_mlflow_server_the_next_steps_are_a_prefect_server_and_a_worker(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example")
    server, worker = next_steps()
    assert server == f'next: eval "$(PERENNIAL_HOME={home} perennial env)"; prefect server start'
    assert worker.endswith("export PREFECT_API_URL=http://127.0.0.1:4200/api; prefect worker start --pool perennial")


def test_the_next_step_is_short_in_the_default_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("flows.deploy.project_folder", lambda: tmp_path)
    monkeypatch.setattr("flows.deploy.state_folder", lambda: tmp_path / ".perennial")
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert next_steps()[0].startswith("next: perennial up ")


def test_while_up_runs_there_is_no_next_step_and_its_addresses_are_not_stored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("flows.deploy.state_folder", lambda: tmp_path)
    servers = Servers(1, "http://127.0.0.1:4201", "http://127.0.0.1:5001")
    for key, value in servers.settings.items():
        monkeypatch.setenv(key, value)
    assert _environment()["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5001"
    with alone(tmp_path, servers):
        assert next_steps() == [
            "the worker of `perennial up` runs them; see http://127.0.0.1:4201/deployments",
        ]
        stored = _environment()
    assert "MLFLOW_TRACKING_URI" not in stored and "MLFLOW_DISABLE_TELEMETRY" in stored
