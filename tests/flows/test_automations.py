"""Automations that `perennial deploy` installs: drift starts a retraining, blocks are told."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client

from flows.automated import automations_there
from tests.small import cli, plain, write_model

MONITORED = '[monitor]\ninput = "plant/*.csv"\n[schedule]\nmonitor = "30 * * * *"\n'
RETRAINS = "drift starts a retraining"


@pytest.fixture
def client(server: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as opened:
        yield opened


def changes(*words: object) -> dict[str, tuple[str, str]]:
    said = cli("deploy", *words, "--json")
    assert said.code == 0, said.both
    return {each["automation"]: (each["change"], each["why"]) for each in said.json["automations"]}


def block(client: SyncPrefectClient, name: str, slug: str = "webhook", **data: Any) -> str:
    """The id of a new block of that type, as a user makes one in the UI."""
    from prefect.blocks.notifications import SlackWebhook
    from prefect.blocks.webhook import Webhook

    kind = {"webhook": Webhook, "slack-webhook": SlackWebhook}[slug]
    return str(kind(url="http://127.0.0.1:9/", **data).save(name))


def test_drift_of_a_model_starts_its_retraining_and_is_installed_once(
    client: SyncPrefectClient, tmp_path: Path, home: Path
) -> None:
    file = write_model(tmp_path, "drifting")
    name = f"drifting: {RETRAINS}"
    assert changes(file, "--dry-run") == {name: ("new", "")}
    assert name not in automations_there(client, home)
    assert changes(file) == {name: ("new", "")}
    first = automations_there(client, home)[name]
    trigger, (action,) = first.trigger, first.actions
    assert trigger.expect == {"perennial.model.drifted"}
    assert trigger.match["prefect.resource.id"] == ["perennial.model.drifting"]
    assert action.type == "run-deployment"
    assert action.deployment_id == client.read_deployment_by_name("retrain/drifting").id
    assert changes(file) == {name: ("unchanged", "")}
    assert automations_there(client, home)[name].id == first.id
    client.pause_automation(first.id)
    assert changes(file, "--dry-run") == {name: ("changed", "enabled")}
    client.delete_deployment(action.deployment_id)
    assert changes(file, "--dry-run") == {name: ("changed", "enabled, actions")}
    assert changes(file)[name][0] == "changed"
    again = automations_there(client, home)[name]
    assert (again.id, again.enabled) == (first.id, True)
    assert again.actions[0].deployment_id == client.read_deployment_by_name("retrain/drifting").id


def test_automations_go_with_their_model_file_and_when_it_asks_no_more(
    client: SyncPrefectClient, tmp_path: Path, home: Path
) -> None:
    kept, gone = write_model(tmp_path, "kept-alive"), write_model(tmp_path, "gone-soon")
    cli("deploy", kept, gone)
    kept.write_text(kept.read_text() + "[monitor]\nretrain = false\n")
    gone.unlink()
    expected = {
        f"kept-alive: {RETRAINS}": ("removed", "its model file does not ask for it any more"),
        f"gone-soon: {RETRAINS}": ("removed", f"{gone} is gone"),
    }
    assert changes(kept, "--dry-run") == expected
    assert expected.keys() <= automations_there(client, home).keys()
    assert changes(kept) == expected
    assert not expected.keys() & automations_there(client, home).keys()
    assert changes(kept) == {}


def test_the_input_that_a_model_file_names_is_monitored_on_its_schedule(
    client: SyncPrefectClient, tmp_path: Path
) -> None:
    file = write_model(tmp_path, "watched", rest=MONITORED)
    assert cli("deploy", file).code == 0
    monitor = client.read_deployment_by_name("monitor/watched")
    assert monitor.parameters == {"model": "watched", "input": [f"{tmp_path}/plant/*.csv"], "new": True}
    assert [each.schedule.cron for each in monitor.schedules] == ["30 * * * *"]


def test_those_whom_the_file_names_are_told(client: SyncPrefectClient, tmp_path: Path, home: Path) -> None:
    hook, slack = block(client, "told-hook"), block(client, "told-slack", "slack-webhook")
    file = write_model(
        tmp_path, "told-all", rest='[notify]\nwebhook = "told-hook"\nslack = "told-slack"\non = ["failure", "drift"]\n'
    )
    names = {f"told-all: {RETRAINS}", "told-all: failure is told", "told-all: drift is told"}
    assert changes(file).keys() == names
    there = automations_there(client, home)
    for name in names - {f"told-all: {RETRAINS}"}:
        call, send = there[name].actions
        assert (call.type, str(call.block_document_id)) == ("call-webhook", hook)
        assert (send.type, str(send.block_document_id)) == ("send-notification", slack)
    failure = there["told-all: failure is told"].trigger
    flows = ("train", "retrain", "promote", "score", "monitor")
    ids = {f"prefect.deployment.{client.read_deployment_by_name(f'{flow}/told-all').id}" for flow in flows}
    assert set(failure.match_related["prefect.resource.id"]) == ids
    assert set(changes(file).values()) == {("unchanged", "")}
    file.write_text(file.read_text().replace('"failure", "drift"', '"drift"'))
    assert changes(file)["told-all: failure is told"][0] == "removed"


def test_a_block_that_the_server_does_not_have_is_one_plain_line_and_nothing_is_deployed(
    client: SyncPrefectClient, tmp_path: Path
) -> None:
    from prefect.exceptions import ObjectNotFound

    file = write_model(tmp_path, "untold", rest='[notify]\nwebhook = "no-such"\n')
    plain(cli("deploy", file), 2, f"{file}: notify.webhook", "no block webhook/no-such", "make it")
    with pytest.raises(ObjectNotFound):
        client.read_deployment_by_name("train/untold")


def test_a_web_hook_is_sent_json_whatever_happened() -> None:
    """Filled in as the server does it."""
    from uuid import uuid4

    from prefect.server.utilities.user_templates import render_user_template_sync

    from flows.automations import EVENTS, Asked, automations_of
    from models.modelfile import ModelFile

    file = ModelFile.model_validate(
        {
            "name": "odd",
            "sources": [{"uri": "x.csv"}],
            "target": {"column": "y"},
            "columns": {"x": "number"},
            "notify": {"webhook": "hook"},
        }
    )
    ids = {f"{flow}/odd": uuid4() for flow in ("train", "retrain")}
    told = automations_of(Asked(file, Path("/home"), ids, {"webhook/hook": uuid4()}))[1:]
    assert [each.name for each in told] == [f"odd: {topic} is told" for topic in EVENTS]
    odd = {"version": "3", "columns": ['"air" <temperature>\n', "b"], "worse": [], "breaches": 2, "windows": [1, 2, 3]}
    event = {"event": "perennial.model.drifted", "occurred": "2026-11-26T23:00:00+00:00", "payload": odd}

    def rendered(topic: int, name: str, **payload: Any) -> dict[str, Any]:
        happened = {**event, "event": f"perennial.model.{name}", "payload": payload}
        given: dict[str, Any] = json.loads(
            render_user_template_sync(told[topic].actions[0].payload, {"event": happened})
        )
        return given

    sent = [rendered(topic, "drifted", **odd) for topic in range(len(told))]
    assert sent[3]["payload"] == odd
    begin = "odd: version 3: 2 of the last 3 windows have drifted or are worse than promised, the newest in: "
    text = begin + '"air" <temperature>\n, b'
    assert (sent[3]["text"], sent[3]["topic"], sent[3]["model"]) == (text, "drift", "odd")
    worse = rendered(3, "drifted", **{**odd, "columns": [], "worse": ["average_precision"]})
    assert worse["text"] == begin + "average_precision"
    bad = {"version": "2", "reasons": ["version 1 is champion again"]}
    back = "odd: version 2 is rolled back (perennial.model.rolled-back); version 1 is champion again"
    assert rendered(2, "rolled-back", **bad)["text"] == back
    good = rendered(2, "promoted", version="2", reasons=["100 rows", "better"])
    assert good["text"] == "odd: version 2 is champion (perennial.model.promoted); 100 rows; better"
