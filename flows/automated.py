"""Automations of this project that a server has, brought to what model files ask for."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.filters import AutomationFilter, AutomationFilterTags
from prefect.events.schemas.automations import Automation, AutomationCore
from prefect.exceptions import ObjectNotFound

from flows.automations import Asked, automations_of, model_of, tags_of
from flows.deployed import PAGE, Change
from flows.environment import state_folder


def automate(client: SyncPrefectClient, asked: Sequence[Asked], gone: Mapping[str, str], dry_run: bool) -> list[Change]:
    """The changes to the automations of this state folder; with `dry_run` those that would be made.

    `gone` says of models why their deployments go: their automations go too.
    """
    there = automations_there(client, state_folder())
    wanted = {each.name: each for one in asked for each in automations_of(one)}
    changes = [_change(planned, there.get(name)) for name, planned in wanted.items()]
    why = {one.model_file.name: "its model file does not ask for it any more" for one in asked} | dict(gone)
    forsaken = [name for name in there if name not in wanted and model_of(there[name]) in why]
    if not dry_run:
        for change in changes:
            _apply(client, wanted[change.name], there.get(change.name), change)
        for name in forsaken:
            with suppress(ObjectNotFound):
                client.delete_automation(there[name].id)
    return [*changes, *(Change(name, "removed", why[model_of(there[name])]) for name in forsaken)]


def automations_there(client: SyncPrefectClient, home: Path) -> dict[str, Automation]:
    """Those of this state folder by their names; others may share the server."""
    mine = AutomationFilter(tags=AutomationFilterTags(all_=tags_of(home)))
    found: dict[str, Automation] = {}
    offset = 0
    while page := client.read_automations(automations=mine, limit=PAGE, offset=offset):
        offset += len(page)
        found |= {each.name: each for each in page}
    return found


def _change(planned: AutomationCore, there: Automation | None) -> Change:
    if there is None:
        return Change(planned.name, "new", "")
    wanted, found = (each.model_dump(mode="json", exclude={"id", "owner_resource"}) for each in (planned, there))
    different = [key for key in wanted if _unordered(wanted[key]) != _unordered(found[key])]
    return Change(planned.name, "changed" if different else "unchanged", ", ".join(different))


def _unordered(value: Any) -> Any:
    """The value with its lists, which are sets in Prefect's triggers, in one order."""
    if isinstance(value, dict):
        return {key: _unordered(each) for key, each in value.items()}
    return sorted(map(_unordered, value), key=str) if isinstance(value, list) else value


def _apply(client: SyncPrefectClient, planned: AutomationCore, there: Automation | None, change: Change) -> None:
    if there is None:
        client.create_automation(planned)
    elif change.change == "changed":
        # Prefect's client leaves out what is not set by name, and its server refuses a trigger without its posture.
        client.update_automation(
            there.id, AutomationCore.model_validate(planned.model_dump(exclude={"owner_resource"}))
        )
