"""What the gates let through waits for a person where the model file asks for that; no lock is held meanwhile."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.flow_runs import resume_flow_run
from prefect.states import AwaitingRetry

from flows.locks import promotion_lock
from flows.promote import promote
from flows.results import Promoted, Retrained
from flows.retrain import retrain
from models.sections import Gate, Promotion
from tasks.registry import steps
from tasks.registry.approval import ASKED
from tasks.registry.connection import connect
from tasks.registry.history import new_event, read_history, record, whoami
from tasks.registry.promotion import VERDICT, waiting_challenger
from tasks.registry.versions import find_alias, find_version
from tests.conftest import Copy
from tests.small import cli, plain, write_model

ASKS = {"promotion": Promotion(min_rows=20, resamples=100, approval=True)}


def champion(model: str) -> str | None:
    found = find_alias(model, "champion")
    return found.number if found else None


def events(model: str) -> list[str]:
    return [event.event for event in read_history(model) if event.event != "registered"]


def test_without_a_worker_the_command_says_what_waits_and_how_to_approve(copy: Copy) -> None:
    name = "approval-command"
    copy(name, **ASKS)
    said = cli("promote", name)
    assert (said.code, said.err) == (1, "")
    lines = said.out.splitlines()
    assert lines[0] == f"{name} version 1 passes its gates and waits for approval:"
    assert lines[-2:] == [
        "  a person has to approve it, and is waited for",
        f"next: perennial promote {name} --version 1 --approve REASON   (or --reject REASON)",
    ]
    assert (champion(name), events(name)) == (None, ["awaits approval"])
    assert VERDICT not in find_version(name, "1").tags and ASKED in find_version(name, "1").tags
    assert waiting_challenger(name) is None, "scoring with --promote does not ask again"
    said = cli("promote", name, "--approve", "looks\ngood", "--json")
    assert (said.code, said.json["promoted"]) == (0, True)
    assert champion(name) == "1"
    event = read_history(name)[-1]
    assert (event.event, event.who, event.why) == ("promoted", whoami(), "by hand")
    assert event.reasons[-1] == f"approved by {whoami()}: looks good"
    tags = find_version(name, "1").tags
    assert ASKED not in tags
    assert {key: tags[f"decided.{key}"] for key in ("what", "who", "when", "why")} == {
        "what": "promoted", "who": whoami(), "when": event.when, "why": "by hand",
    }  # fmt: skip


def test_a_refusal_by_a_person_is_on_record(copy: Copy) -> None:
    name = "approval-rejected"
    copy(name, **ASKS)
    said = cli("promote", name, "--reject", "the plant is being rebuilt")
    assert said.code == 1
    assert said.out.splitlines() == [
        f"{name} version 1 is refused:", f"  refused by {whoami()}: the plant is being rebuilt",
    ]  # fmt: skip
    assert (champion(name), events(name)) == (None, ["refused"])
    assert read_history(name)[-1].reasons == (f"refused by {whoami()}: the plant is being rebuilt",)
    plain(cli("promote", name, "--approve", "a", "--reject", "b"), 2, "--approve and --reject: give one of the two")


def test_a_word_does_not_overrule_the_gates(copy: Copy) -> None:
    name = "approval-overruled"
    copy(name, gates={"accuracy": Gate(min=1.1)}, **ASKS)
    assert cli("promote", name, "--approve", "I want it").code == 1
    assert (champion(name), events(name)) == (None, ["refused"])


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("outcome", ["waiting", "unchanged"])
def test_a_retraining_that_has_to_be_approved_exits_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    from flows import retrain as module

    done = Retrained.of(Promoted("asks", "1", False, outcome, ["a person has to approve it, and is waited for"]))
    monkeypatch.setattr(module, "retrain", lambda *_: done)
    said = cli("retrain", write_model(tmp_path, "asks"))
    assert said.code == (1 if outcome == "waiting" else 0), said.both
    assert ("--approve REASON" in said.out) is (outcome == "waiting")


@pytest.fixture
def client(server: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as opened:
        yield opened


def deployed(client: SyncPrefectClient, flow: Flow[Any, Any], name: str, **parameters: object) -> FlowRun:
    """A run of a deployment of the flow."""
    deployment = client.create_deployment(client.create_flow_from_name(flow.name), name)
    return client.create_flow_run_from_deployment(deployment, parameters=parameters)


def carry_out(client: SyncPrefectClient, flow: Flow[Any, Any], run: FlowRun) -> str:
    """As a worker would: from the start. The name of the state that it ends in."""
    now = client.read_flow_run(run.id)
    with suppress(Pause):
        run_flow(flow, flow_run=now, parameters=flow.validate_parameters(run.parameters), return_type="state")
    return str(client.read_flow_run(run.id).state_name)


def told_events(client: SyncPrefectClient, model: str, newest: str) -> list[dict[str, Any]]:
    """Prefect's events of the model, oldest first, once the newest is there."""
    asked = {"filter": {"resource": {"id": [f"perennial.model.{model}"]}, "order": "ASC"}, "limit": 50}
    until = time.monotonic() + 30
    while True:
        found: list[dict[str, Any]] = client._client.post("/events/filter", json=asked).json()["events"]
        if newest in [event["event"] for event in found] or time.monotonic() > until:
            return found
        time.sleep(0.1)


def assert_the_form_decides_nothing_by_itself(client: SyncPrefectClient, run: FlowRun) -> None:
    """Its question has what the decision rests on; who sends it as it opens, or without a name, is asked again."""
    form, question = (
        json.loads(client.read_flow_run_input(run.id, f"suspended-version-1-{part}"))
        for part in ("schema", "description")
    )
    assert form["required"] == ["decision", "by"]
    assert form["properties"]["decision"]["enum"] == ["approve", "refuse"]
    assert "default" not in form["properties"]["decision"]
    assert "version 1** passes its gates" in question and "- accuracy 0.9012 on its test rows" in question
    assert "is waited for" not in question, "whoever reads it is the one"
    for sent in ({}, {"decision": "approve", "by": " \n"}, {"by": "Ada"}):
        said = client.resume_flow_run(run.id, run_input=sent)
        assert (said.status, client.read_flow_run(run.id).state_name) == ("REJECT", "Suspended"), sent


def test_a_deployed_promotion_is_suspended_until_the_form_is_filled_in(copy: Copy, client: SyncPrefectClient) -> None:
    name = "approval-form"
    copy(name, **ASKS)
    record(name, new_event("registered", "1", None, "trained", ["accuracy 0.9012"]))
    run = deployed(client, promote, name, model=name)
    assert carry_out(client, promote, run) == "Suspended"
    assert (champion(name), events(name)) == (None, ["awaits approval"])
    assert_the_form_decides_nothing_by_itself(client, run)
    with promotion_lock(name):
        pass
    copy(name, **ASKS)
    assert find_alias(name, "challenger").number == "2"  # type: ignore[union-attr]
    resume_flow_run(run.id, run_input={"decision": "approve", "reason": "as agreed", "by": "Ada"})
    with promotion_lock(name):
        assert carry_out(client, promote, run) == "Failed"
    client.set_flow_run_state(run.id, AwaitingRetry(), force=True)
    assert carry_out(client, promote, run) == "Completed", "the answer counts when the run is tried again"
    assert champion(name) == "1", "the version that was asked about, not a later one"
    event = read_history(name)[-1]
    assert (event.event, event.version, event.who, event.reasons[-1]) == (
        "promoted", "1", "Ada", "approved by Ada: as agreed",
    )  # fmt: skip
    asked, moved = told_events(client, name, "perennial.model.promoted")
    assert [asked["event"], moved["event"]] == ["perennial.model.awaits-approval", "perennial.model.promoted"]
    payload = moved["payload"]
    assert (payload["version"], payload["previous_champion"], payload["who"]) == ("1", None, "Ada")
    assert payload["metrics"]["parity"] == 1e-7
    assert {"prefect.resource.id": f"prefect.flow-run.{run.id}", "prefect.resource.role": "flow-run"}.items() <= (
        moved["related"][0].items()
    )


def test_an_answer_after_another_one_decides_nothing(copy: Copy, client: SyncPrefectClient) -> None:
    name = "approval-twice"
    copy(name, **ASKS)
    run = deployed(client, promote, name, model=name)
    assert carry_out(client, promote, run) == "Suspended"
    assert cli("promote", name, "--reject", "not now").code == 1
    resume_flow_run(run.id, run_input={"decision": "approve", "reason": "", "by": "Ada"})
    assert carry_out(client, promote, run) == "Failed"
    assert "version 1 no longer waits for approval" in str(client.read_flow_run(run.id).state.message)  # type: ignore[union-attr]
    assert (champion(name), events(name)) == (None, ["awaits approval", "refused"])


@pytest.mark.slow
def test_a_champion_that_came_meanwhile_is_judged_against(copy: Copy, client: SyncPrefectClient) -> None:
    name = "approval-overtaken"
    copy(name, **ASKS)
    run = deployed(client, promote, name, model=name)
    assert carry_out(client, promote, run) == "Suspended"
    copy(name, gates={"accuracy": Gate(beats_champion=True)}, **ASKS)
    connect().set_registered_model_alias(name, "champion", "2")
    resume_flow_run(run.id, run_input={"decision": "refuse", "reason": "too late", "by": "Ada"})
    assert carry_out(client, promote, run) == "Completed"
    event = read_history(name)[-1]
    assert (event.event, event.before, event.reasons) == ("refused", "2", ("refused by Ada: too late",))
    assert told_events(client, name, "perennial.model.refused")[-1]["event"] == "perennial.model.refused"


@pytest.mark.soak
@pytest.mark.usefixtures("no_evaluation")
def test_a_suspended_retraining_goes_on_with_what_it_trained(client: SyncPrefectClient, tmp_path: Path) -> None:
    name = "approval-retrain"
    file = write_model(tmp_path, name, rest="[promotion]\nmin_rows = 20\nresamples = 100\napproval = true\n")
    run = deployed(client, retrain, name, model_file=str(file))
    assert carry_out(client, retrain, run) == "Suspended"
    assert [(e.event, e.version) for e in read_history(name)] == [("registered", "1"), ("awaits approval", "1")]
    again = cli("retrain", file, "--json")
    assert (again.code, again.json["outcome"], again.json["reasons"]) == (
        0, "unchanged", ["version 1 waits for approval"],
    )  # fmt: skip
    with file.with_suffix(".csv").open("a") as data:
        data.write("9001,1.5,300.0,north,true,2024-05-06,no\n")
    resume_flow_run(run.id, run_input={"decision": "approve", "reason": "", "by": "Ada"})
    assert carry_out(client, retrain, run) == "Completed"
    assert champion(name) == "1"
    assert [(e.event, e.version) for e in read_history(name)][2:] == [("promoted", "1")], "nothing was trained"


def test_an_event_that_can_not_be_told_stops_nothing(
    copy: Copy, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "approval-untold"
    copy(name, promotion=Promotion(min_rows=20, resamples=100))

    def broken(**_: object) -> None:
        raise RuntimeError("no way to the server")

    with monkeypatch.context() as patch:
        patch.setattr(steps, "emit_event", broken)
        assert cli("promote", name).code == 0
    assert champion(name) == "1"
    copy(name, promotion=Promotion(min_rows=20, resamples=100))
    assert cli("promote", name).code == 0
    assert cli("rollback", name, "--why", "complaints").code == 0
    *_, back = told_events(client, name, "perennial.model.rolled-back")
    payload = back["payload"]
    assert (payload["version"], payload["previous_champion"], payload["why"]) == ("2", "2", "complaints")
    assert payload["reasons"] == ["version 1 is champion again"]
    assert find_version(name, "2").tags["decided.what"] == "rolled back"
