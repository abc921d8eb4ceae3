"""Deployments of this project that a server has, and how they differ from those that model files ask for."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound

from flows.environment import HOME

TAG = "perennial"
MODEL_FILE = "PERENNIAL_MODEL_FILE"
"""Variable of a deployment's environment: the file that it was made from. Not all flows take it as a parameter."""
PAGE = 200


@dataclass(frozen=True)
class Change:
    """What becomes of one deployment or automation."""

    name: str
    """As Prefect shows it: FLOW/MODEL, or the automation's own name."""
    change: Literal["new", "changed", "unchanged", "removed"]
    why: str


@dataclass(frozen=True)
class Changes:
    """What a deploy changes on the server, or would."""

    deployments: tuple[Change, ...]
    automations: tuple[Change, ...]

    def as_json(self) -> dict[str, Any]:
        """The names of the deployments that are there afterwards, and each change."""
        return {
            "deployments": [each.name for each in self.deployments if each.change != "removed"],
            "changes": [{"deployment": c.name, "change": c.change, "why": c.why} for c in self.deployments],
            "automations": [{"automation": c.name, "change": c.change, "why": c.why} for c in self.automations],
        }

    def lines(self) -> list[str]:
        """A table of the deployments, and one of the automations."""
        return [line for each in (self.deployments, self.automations) for line in _table(each)]


def _table(changes: Sequence[Change]) -> list[str]:
    width = max((len(each.name) for each in changes), default=0)
    return [f"{each.change:<9}  {each.name:<{width}}  {each.why}".rstrip() for each in changes]


def deployments_there(client: SyncPrefectClient, home: Path) -> dict[str, DeploymentResponse]:
    """Those of this state folder by FLOW/MODEL; others may share the server."""
    mine = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
    found: dict[str, DeploymentResponse] = {}
    offset = 0
    while page := client.read_deployments(deployment_filter=mine, limit=PAGE, offset=offset):
        offset += len(page)
        of_here = (d for d in page if d.job_variables.get("env", {}).get(HOME) == str(home))
        found |= {f"{(d.entrypoint or '').rpartition(':')[2]}/{d.name}": d for d in of_here}
    return found


def forsaken(there: Mapping[str, DeploymentResponse], names: Mapping[Path, str]) -> Iterator[Change]:
    """Deployments of models whose file is gone or names another one now; `names` are the models of the given files."""
    why: dict[str, str] = {}
    for deployment in there.values():
        # Deployments of models that train name it to their flow; earlier releases named it there alone.
        told = deployment.job_variables.get("env", {}).get(MODEL_FILE) or deployment.parameters.get("model_file")
        path = Path(told) if told else None
        if path and deployment.name not in names.values():
            if path in names:
                why[deployment.name] = f"{path} names another model now"
            elif not path.exists():
                why[deployment.name] = f"{path} is gone"
    for name, deployment in there.items():
        if deployment.name in why:
            yield Change(name, "removed", why[deployment.name])


def differences(planned: RunnerDeployment, form: Mapping[str, Any], there: DeploymentResponse) -> list[str]:
    """In what the deployment differs from the one that is there; `form` is the schema of its parameters."""
    pairs: dict[str, tuple[Any, Any]] = {
        "parameters": (planned.parameters, there.parameters),
        "form": (form, there.parameter_openapi_schema),
        "description": (planned.description, there.description),
        "schedule": (_schedules(planned.schedules or []), _schedules(there.schedules)),
        "settings": (planned.job_variables, there.job_variables),
        "flow": (planned.entrypoint, there.entrypoint),
        "pool": (planned.work_pool_name, there.work_pool_name),
    }
    return [name for name, (wanted, found) in pairs.items() if wanted != found]


def remove(client: SyncPrefectClient, there: DeploymentResponse) -> None:
    """Takes the deployment away, with its schedule; nothing where somebody else just did."""
    with suppress(ObjectNotFound):
        client.delete_deployment(there.id)


def _schedules(schedules: Sequence[Any]) -> list[tuple[str | None, str | None, bool]]:
    found = [(each.schedule, bool(each.active)) for each in schedules]
    return [(getattr(s, "cron", None), getattr(s, "timezone", None), active) for s, active in found]
