"""After an outage one run of a schedule does the work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.objects import FlowRun
from prefect.flow_engine import run_flow
from prefect.states import Cancelled, Scheduled

from flows import late
from flows.retrain import retrain
from models.errors import RefusedError
from tasks.registry.history import read_history
from tasks.registry.start import WEIGHTS_SHA256
from tasks.training.job import Job
from tests.conftest import Copy
from tests.small import QUICK, cli, plain, write_model

HOURLY = '[schedule]\nretrain = "0 * * * *"\n'
NOW = datetime.now(UTC)


@pytest.fixture
def client(server: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as opened:
        yield opened


def late_runs(client: SyncPrefectClient, file: Path) -> list[FlowRun]:
    """Those of an outage of a few hours, as Prefect's own scheduler makes them; the oldest first."""
    assert cli("deploy", file).code == 0
    deployment = client.read_deployment_by_name(f"retrain/{file.stem}").id
    asked = {"start_time": (NOW - timedelta(hours=4)).isoformat(), "end_time": NOW.isoformat(), "min_runs": 4}
    client.request("POST", "/deployments/{id}/schedule", path_params={"id": deployment}, json=asked).raise_for_status()
    return runs_of(client, deployment)


def runs_of(client: SyncPrefectClient, deployment: UUID) -> list[FlowRun]:
    found = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment]))
    )
    due = [run for run in found if run.expected_start_time and run.expected_start_time < datetime.now(UTC)]
    return sorted(due, key=lambda run: str(run.expected_start_time))


def carry_out(run: FlowRun) -> tuple[str, str]:
    """Name and message of the state it ends in."""
    state = run_flow(retrain, flow_run=run, parameters=run.parameters, return_type="state")
    return str(state.name), str(state.message)  # type: ignore[union-attr]


def instead(run: FlowRun) -> str:
    return f"the run of the same schedule that was due at {run.expected_start_time:%Y-%m-%d %H:%M} UTC does the work"


@pytest.mark.usefixtures("no_evaluation", "no_export")
def test_only_the_newest_of_late_retrainings_trains(client: SyncPrefectClient, tmp_path: Path, home: Path) -> None:
    first, *others, newest = late_runs(client, write_model(tmp_path, "hourly", rest=HOURLY))
    assert len(others) >= 2
    why = instead(newest)
    assert carry_out(first) == ("Skipped", why)
    assert carry_out(newest)[0] == "Completed"
    assert carry_out(others[-1]) == ("Skipped", why)


def test_a_run_gives_way_to_none_that_will_not_do_the_work(
    client: SyncPrefectClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = late_runs(client, write_model(tmp_path, "called-off", rest=HOURLY))
    for run in runs[2:]:
        client.set_flow_run_state(run.id, Cancelled(), force=True)
    assert carry_out(runs[0]) == ("Skipped", instead(runs[1]))
    client.set_flow_run_state(runs[1].id, Cancelled(), force=True)
    assert runs[0].deployment_id is not None
    by_hand = client.create_flow_run_from_deployment(runs[0].deployment_id)
    assert by_hand.expected_start_time and by_hand.expected_start_time < datetime.now(UTC)
    monkeypatch.setattr(late, "flow_run", SimpleNamespace(id=str(runs[0].id)))
    assert late.newer_run() is None


@pytest.mark.usefixtures("no_evaluation", "no_export")
def test_a_run_that_somebody_starts_is_never_late(client: SyncPrefectClient, tmp_path: Path) -> None:
    file = write_model(tmp_path, "by-hand", rest=HOURLY)
    deployment = late_runs(client, file)[0].deployment_id
    assert deployment is not None
    long_ago = Scheduled(scheduled_time=NOW - timedelta(hours=5))
    by_hand = client.create_flow_run_from_deployment(deployment, state=long_ago)
    assert carry_out(by_hand)[0] == "Completed"
    unchanged = client.create_flow_run_from_deployment(deployment)
    said = "unchanged: version 1 was made from the same data, model file and code"
    assert carry_out(unchanged) == ("Skipped", said)


@pytest.mark.usefixtures("no_evaluation", "no_export")
def test_a_run_gives_way_to_one_that_is_at_the_same_training(client: SyncPrefectClient, tmp_path: Path) -> None:
    """Whenever it starts: while the other one looks whether to train, trains, or judges what it has trained."""
    from flows import retrain as module

    file = write_model(tmp_path, "all-at-once", rest="[promotion]\nmin_rows = 50\nresamples = 100\n")
    assert cli("deploy", file).code == 0
    deployment = client.read_deployment_by_name("retrain/all-at-once").id
    ended: dict[str, tuple[str, str]] = {}

    def meanwhile(step: str) -> Callable[..., object]:
        real = getattr(module, step)

        def do(*words: object, **more: object) -> object:
            ended[step] = carry_out(client.create_flow_run_from_deployment(deployment))
            return real(*words, **more)

        return do

    steps = ("find_standing", "train_on", "promote_challenger")
    with pytest.MonkeyPatch.context() as patch:
        for step in steps:
            patch.setattr(module, step, meanwhile(step))
        assert carry_out(client.create_flow_run_from_deployment(deployment))[0] == "Completed"
    assert ended == dict.fromkeys(steps, ("Skipped", "another run trains the same model on the same data now"))
    assert [event.version for event in read_history("all-at-once") if event.event == "registered"] == ["1"]


@pytest.mark.usefixtures("no_evaluation")
def test_a_command_is_told_of_the_run_that_is_at_the_same_training(tmp_path: Path, server: str) -> None:
    from flows import retrain as module

    file = write_model(tmp_path, "by-two")
    said = []

    def busy(*_: object) -> None:
        said.append(cli("retrain", file))
        raise RefusedError("enough")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "find_standing", busy)
        plain(cli("retrain", file), 1, "enough")
    plain(said[0], 3, "by-two: another process trains the same model on the same data now")


@pytest.mark.usefixtures("server")
def test_the_same_training_is_looked_for_as_it_would_start(copy: Copy, tmp_path: Path) -> None:
    from flows import retrain as module
    from tasks.registry.connection import connect

    asked: list[Job] = []
    warm = QUICK.replace("[evaluation]", "warm_start = true\n[evaluation]")
    file = write_model(tmp_path, "late-warm", quick=warm)
    copy("late-warm")
    connect().set_model_version_tag("late-warm", "1", WEIGHTS_SHA256, "abc")
    connect().set_registered_model_alias("late-warm", "champion", "1")

    @contextmanager
    def busy(job: Job) -> Iterator[str]:
        asked.append(job)
        yield "another run"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "claimed", busy)
        assert retrain(file).outcome == "skipped"
    assert asked[0].start and (asked[0].start.version, asked[0].start.sha256) == ("1", "abc")
