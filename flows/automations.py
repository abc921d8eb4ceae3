"""Prefect automations of model files: what starts by itself, and who is told of what."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.actions import ActionTypes, CallWebhook, RunDeployment, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger
from prefect.exceptions import ObjectNotFound

from flows.deployed import TAG
from flows.environment import HOME
from flows.sentences import SENTENCES
from models.errors import InputError
from models.modelfile import ModelFile
from models.sections import Topic
from tasks.registry.history import SUBJECT

NOWHERE = UUID(int=0)
"""Stands for a deployment that is not there yet."""
BLOCK_TYPES = {"webhook": "webhook", "slack": "slack-webhook"}
"""Of the keys of `[notify]`: what Prefect calls the type of block."""
SECRET = "secret"
EVENTS: Mapping[Topic, tuple[str, ...]] = {
    "failure": ("prefect.flow-run.Failed", "prefect.flow-run.Crashed", "prefect.flow-run.TimedOut"),
    "refusal": (f"{SUBJECT}refused", f"{SUBJECT}undecided", f"{SUBJECT}awaits-approval"),
    "promotion": (f"{SUBJECT}promoted", f"{SUBJECT}rolled-back"),
    "drift": (f"{SUBJECT}drifted",),
}

Blocks = Mapping[str, UUID]
"""Ids of blocks by TYPE/NAME."""


@dataclass(frozen=True)
class Asked:
    """What automations of one model file refer to."""

    model_file: ModelFile
    home: Path
    deployments: Mapping[str, UUID]
    """Ids of deployments by FLOW/MODEL, of all that model files ask for."""
    blocks: Blocks


def automations_of(asked: Asked) -> list[AutomationCore]:
    """What the model file asks for: drift starts a retraining, and blocks are told."""
    model_file = asked.model_file
    retrains = [_retraining(asked)] if model_file.monitor.retrain and not model_file.graph else []
    told = model_file.notify.webhook or model_file.notify.slack
    return [*retrains, *(_notification(asked, topic) for topic in model_file.notify.on if told)]


def model_of(automation: AutomationCore) -> str:
    """The model that an automation is for."""
    return automation.name.partition(":")[0]


def find_blocks(client: SyncPrefectClient, files: Mapping[Path, ModelFile]) -> Blocks:
    """The blocks that model files name. Raises InputError with a line for each that the server does not have."""
    found: dict[str, UUID] = {}
    problems = []
    for path, model_file in files.items():
        for key, kind, name in _named(model_file):
            block = f"{kind}/{name}"
            try:
                found[block] = client.read_block_document_by_name(name, kind, include_secrets=False).id
            except ObjectNotFound:
                problems.append(
                    f"{path}: {key}: the Prefect server has no block {block}; make it in the UI, under Blocks"
                )
    if problems:
        raise InputError(*problems)
    return found


def _named(model_file: ModelFile) -> Iterator[tuple[str, str, str]]:
    """Key in the model file, type and name of each block."""
    for key, kind in BLOCK_TYPES.items():
        name = getattr(model_file.notify, key)
        if name:
            yield f"notify.{key}", kind, name
    for variable, name in model_file.secrets.items():
        yield f"secrets.{variable}", SECRET, name


def _retraining(asked: Asked) -> AutomationCore:
    name = asked.model_file.name
    deployment = asked.deployments[f"retrain/{name}"]
    return AutomationCore(
        name=f"{name}: drift starts a retraining",
        description=f"Runs retrain/{name} when drift in its windows is more than one odd one.",
        tags=_tags(asked),
        trigger=_on(name, "drift"),
        actions=[RunDeployment(source="selected", deployment_id=deployment)],
    )


def _notification(asked: Asked, topic: Topic) -> AutomationCore:
    name, trigger = asked.model_file.name, _on(asked.model_file.name, topic)
    if topic == "failure":
        ids = sorted(f"prefect.deployment.{each}" for d, each in asked.deployments.items() if d.endswith(f"/{name}"))
        trigger = EventTrigger(
            expect=set(EVENTS[topic]),
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={"prefect.resource.role": "deployment", "prefect.resource.id": ids},
        )
    return AutomationCore(
        name=f"{name}: {topic} is told",
        description=f"Tells the blocks that the model file of {name} names.",
        tags=_tags(asked),
        trigger=trigger,
        actions=list(_actions(asked, topic)),
    )


def _on(model: str, topic: Topic) -> EventTrigger:
    return EventTrigger(expect=set(EVENTS[topic]), match={"prefect.resource.id": f"{SUBJECT}{model}"})


def _actions(asked: Asked, topic: Topic) -> Iterator[ActionTypes]:
    model, notify = asked.model_file.name, asked.model_file.notify
    sentence = f"{model}: {SENTENCES[topic]}"
    if notify.webhook:
        told = f'{{% set text %}}{sentence}{{% endset %}}{{"model": {json.dumps(model)}, "topic": "{topic}", '
        told += '"event": {{ event.event | tojson }}, "occurred": "{{ event.occurred }}", '
        told += '"text": {{ text | string | tojson }}, "payload": {{ event.payload | tojson }}}'
        yield CallWebhook(block_document_id=asked.blocks[f"{BLOCK_TYPES['webhook']}/{notify.webhook}"], payload=told)
    if notify.slack:
        block = asked.blocks[f"{BLOCK_TYPES['slack']}/{notify.slack}"]
        yield SendNotification(block_document_id=block, subject=f"{model}: {topic}", body=sentence)


def _tags(asked: Asked) -> list[str]:
    return [*tags_of(asked.home), asked.model_file.name]


def tags_of(home: Path) -> list[str]:
    """By these the automations of a state folder are known."""
    return [TAG, f"{HOME}={home}"]
