"""Automations that `perennial deploy` installs: drift starts a retraining, blocks are told."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client

from flows.automated import automations_there
from models.sections import Topic
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


Render = Callable[..., dict[str, Any]]


@pytest.fixture
def rendered() -> Render:
    """What a web hook is sent, filled in as the server does it: topic, event, the run that emitted it, payload."""
    from prefect.server.events.jinja_filters import all_filters
    from prefect.server.utilities.user_templates import register_user_template_filters, render_user_template_sync

    from flows.automations import EVENTS, Asked, automations_of
    from models.modelfile import ModelFile

    register_user_template_filters({**all_filters, "ui_url": lambda run: run.url})
    given = {"name": "odd", "sources": [{"uri": "x.csv"}], "target": {"column": "y"}, "columns": {"x": "number"}}
    file = ModelFile.model_validate({**given, "notify": {"webhook": "hook"}})
    ids = {f"{flow}/odd": uuid4() for flow in ("train", "retrain")}
    told = automations_of(Asked(file, Path("/home"), ids, {"webhook/hook": uuid4()}))[1:]
    assert [each.name for each in told] == [f"odd: {topic} is told" for topic in EVENTS]
    templates = dict(zip(EVENTS, (each.actions[0].payload for each in told), strict=True))

    def render(topic: Topic, name: str, run: object, **payload: Any) -> dict[str, Any]:
        happened = {"event": f"perennial.model.{name}", "occurred": "2026-11-26T23:00:00+00:00", "payload": payload}
        sent = render_user_template_sync(templates[topic], {"event": happened, "flow_run": run})
        return cast(dict[str, Any], json.loads(sent))

    return render


@dataclass(frozen=True)
class FlowRun:
    """Of a deployment, or of a command."""

    deployment_id: str | None
    url: str | None = "http://prefect/runs/7"
    name: str = "retrain odd"


def test_a_web_hook_is_sent_json_whatever_happened(rendered: Render) -> None:
    odd = {"version": "3", "columns": ['"air" <temperature>\n', "b"], "worse": [], "breaches": 2, "windows": [1, 2, 3]}
    sent = [rendered(topic, "drifted", None, **odd) for topic in get_args(Topic)]
    assert sent[3]["payload"] == odd
    begin = "odd: version 3: 2 of the last 3 windows have drifted or are worse than promised, the newest in: "
    text = begin + '"air" <temperature>\n, b'
    assert (sent[3]["text"], sent[3]["topic"], sent[3]["model"]) == (text, "drift", "odd")
    worse = rendered("drift", "drifted", FlowRun(None), **{**odd, "columns": [], "worse": ["average_precision"]})
    assert worse["text"] == begin + "average_precision; see http://prefect/runs/7"


def test_a_decision_is_told_in_a_sentence(rendered: Render) -> None:
    """Who, why, on what, and where to look or what to do."""
    decided = {"model": "odd", "version": "2", "previous_champion": "1", "who": "ada@lab", "why": "retrain"}

    def text(topic: Topic, name: str, run: FlowRun, *reasons: str, **other: Any) -> str:
        return str(rendered(topic, name, run, **{**decided, **other}, reasons=list(reasons))["text"])

    by_hand, deployed = FlowRun(None), FlowRun("some")
    see = "; see http://prefect/runs/7"
    good = "odd: version 2 is champion in place of version 1 (ada@lab: retrain); 100 rows; better"
    assert text("promotion", "promoted", by_hand, "100 rows", "better") == good + see
    first = "odd: version 2 is champion (ada@lab: retrain); better"
    assert text("promotion", "promoted", by_hand, "better", previous_champion=None) == first + see
    back = "odd: version 2 is rolled back (ada@lab: retrain); version 1 is champion again"
    assert text("promotion", "rolled-back", by_hand, "version 1 is champion again", previous_champion="2") == back + see
    assert text("refusal", "refused", deployed, "worse") == f"odd: version 2 is refused (ada@lab: retrain); worse{see}"
    few = "odd: version 2 stays challenger, the judgement is undecided (ada@lab: retrain); few rows"
    assert text("refusal", "undecided", deployed, "few rows") == few + see
    waits = "odd: version 2 waits for approval: "
    assert text("refusal", "awaits-approval", deployed, "100 rows", "better", "a person has to") == (
        waits + "Resume at http://prefect/runs/7; 100 rows; better"
    )
    nowhere = text("refusal", "awaits-approval", FlowRun("some", url=None), "better", "a person has to")
    assert nowhere == waits + "Resume at the page of retrain odd; better"
    assert text("refusal", "awaits-approval", by_hand, "better", "a person has to") == (
        waits + "perennial promote odd --version 2 --approve REASON, or --reject REASON; better"
    )
