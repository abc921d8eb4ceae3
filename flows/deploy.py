"""Prefect deployments of model files, on a process work pool, and what starts them by itself."""

import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from prefect import Flow, flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists
from prefect.schedules import Cron, Schedule
from prefect.utilities.callables import parameter_schema

from flows.automated import automate
from flows.automations import NOWHERE, SECRET, Asked, find_blocks
from flows.deployed import MODEL_FILE, TAG, Change, Changes, deployments_there, differences, forsaken, remove
from flows.environment import HOME, defaults, project_folder, state_folder
from flows.servers import POOL, running_servers, settings_of_up
from models.modelfile import ModelFile, read_model_files
from tasks.addresses import has_credentials


@dataclass(frozen=True)
class Deployment:
    """One flow for one model file."""

    flow: str
    """Name of the flow and of its module."""
    model: str
    parameters: dict[str, Any]
    description: str
    schedule: Schedule | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Secret blocks of the server by the variables of the environment that hold them in a run."""
    model_file: Path = Path()
    """Kept with the deployment, which goes when the file does."""

    @property
    def name(self) -> str:
        """As Prefect shows it: FLOW/MODEL."""
        return f"{self.flow}/{self.model}"

    def planned(self) -> RunnerDeployment:
        """As Prefect takes it."""
        return self._source.to_deployment(  # type: ignore[return-value]
            name=self.model,
            work_pool_name=POOL,
            parameters=self.parameters,
            description=self.description,
            schedules=[self.schedule] if self.schedule else [],
            tags=[TAG, self.model],
            job_variables={
                "env": {**_from_blocks(self.secrets), **_environment(), MODEL_FILE: str(self.model_file)},
                "working_dir": str(project_folder()),
            },
        )

    def form(self) -> dict[str, Any]:
        """The JSON schema of the flow's parameters."""
        return parameter_schema(self._source).model_dump(mode="json", exclude_unset=True)

    @cached_property
    def _source(self) -> Flow[Any, Any]:
        entrypoint = f"flows/{self.flow}.py:{self.flow}"
        return flow.from_source(source=str(project_folder()), entrypoint=entrypoint)  # type: ignore[return-value]


def deploy(paths: Sequence[Path], dry_run: bool = False) -> Changes:
    """Brings deployments and automations of the model files up to date; those of this project's files that are gone go.

    What is as it should be is left alone. With `dry_run` nothing is changed, and the changes are those that would be.
    Raises InputError where a model file names a block that the server does not have.
    """
    files = {path.resolve(): file for path, file in zip(paths, read_model_files(paths), strict=True)}
    wanted = [d for path, model_file in files.items() for d in deployments_of(path, model_file)]
    with get_client(sync_client=True) as client:
        blocks = find_blocks(client, files)
        there = deployments_there(client, state_folder())
        changes = [_change(deployment, there.get(deployment.name)) for deployment in wanted]
        gone = list(forsaken(there, {path: file.name for path, file in files.items()}))
        if not dry_run:
            _apply(client, [d for d, change in zip(wanted, changes, strict=True) if change.change != "unchanged"])
        now = there if dry_run else deployments_there(client, state_folder())
        ids = {d.name: now[d.name].id if d.name in now else NOWHERE for d in wanted}
        asked = [Asked(file, state_folder(), ids, blocks) for file in files.values()]
        automations = automate(client, asked, {each.name.partition("/")[2]: each.why for each in gone}, dry_run)
        for change in () if dry_run else gone:
            remove(client, there[change.name])
    return Changes((*changes, *gone), tuple(automations))


def _apply(client: SyncPrefectClient, deployments: Sequence[Deployment]) -> None:
    with suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    for deployment in deployments:
        deployment.planned().apply()


def _change(deployment: Deployment, there: DeploymentResponse | None) -> Change:
    if there is None:
        return Change(deployment.name, "new", "")
    found = differences(deployment.planned(), deployment.form(), there)
    return Change(deployment.name, "changed" if found else "unchanged", ", ".join(found))


def deployments_of(path: Path, model_file: ModelFile) -> list[Deployment]:
    """Training, promotion and scoring of one model file; retraining and monitoring on the file's schedule.

    A model that was made elsewhere has no training here.
    """
    name, file, schedule = model_file.name, {"model_file": str(path)}, model_file.schedule
    watched = {"input": list(model_file.monitor.input), "new": True} if model_file.monitor.input else {}
    trainings = [
        Deployment("train", name, file, f"Trains {name} and registers a challenger."),
        Deployment(
            "retrain", name, file, f"Trains {name} again if anything changed, and promotes it if better.",
            _cron(schedule.retrain, schedule.timezone),
        ),
    ]  # fmt: skip
    deployments = [
        *([] if model_file.graph else trainings),
        Deployment("promote", name, {"model": name}, f"Judges the challenger of {name} against its champion."),
        Deployment("score", name, {"model": name}, f"Scores files with {name}."),
        Deployment(
            "monitor", name, {"model": name, **watched}, f"Compares rows with those that {name} was trained on.",
            _cron(schedule.monitor, schedule.timezone),
        ),
    ]  # fmt: skip
    return [replace(deployment, secrets=model_file.secrets, model_file=path) for deployment in deployments]


def _cron(expression: str | None, timezone: str) -> Schedule | None:
    return Cron(expression, timezone=timezone) if expression else None


def next_steps() -> list[str]:
    """The commands that make deployments run: a worker, and a server where none is set."""
    found = running_servers(state_folder())
    if found and found.settings.get("PREFECT_API_URL") == os.environ.get("PREFECT_API_URL", ""):
        return [f"the worker of `perennial up` runs them; see {found.prefect}/deployments"]
    worker = "prefect worker start --pool " + POOL
    if has_credentials(os.environ["MLFLOW_TRACKING_URI"]):
        worker += "   (with MLFLOW_TRACKING_URI set: it holds credentials and is not stored in the deployments)"
    if "PREFECT_API_URL" in os.environ:
        return [f"next: {worker}"]
    if os.environ["MLFLOW_TRACKING_URI"].startswith("http"):
        settings = f'eval "$({_here()}perennial env)"'
        api = "export PREFECT_API_URL=http://127.0.0.1:4200/api"
        return [f"next: {settings}; prefect server start", f"and, in a second terminal: {settings}; {api}; {worker}"]
    return [f"next: {_here()}perennial up   (servers, and a worker that runs them)"]


def _here() -> str:
    """What a new terminal has to be told to find this state folder: nothing where it is the default one."""
    home = state_folder()
    return "" if home == project_folder() / ".perennial" else f"{HOME}={shlex.quote(str(home))} "


def _from_blocks(secrets: Mapping[str, str]) -> dict[str, str]:
    """What a worker replaces by the blocks' values when it starts a run; nothing else ever holds them."""
    return {variable: f"{{{{ prefect.blocks.{SECRET}.{block} }}}}" for variable, block in secrets.items()}


def _environment() -> dict[str, str]:
    """What a worker's process needs to find this project's state, and to be quiet; credentials are left out."""
    settings = {key: os.environ[key] for key in defaults(state_folder()) if not key.startswith("PREFECT_HOME")}
    # The next `perennial up` may have other ports; its worker knows them.
    of_up = settings_of_up(state_folder())
    settings = {key: value for key, value in settings.items() if value != of_up.get(key)}
    # A deployment is no place for a password.
    open_settings = {key: value for key, value in settings.items() if not has_credentials(value)}
    return {HOME: str(state_folder()), **open_settings}
