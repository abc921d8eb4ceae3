"""Runs in MLflow, always addressed by their id: many may be written at once."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

from mlflow import MlflowClient
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import (
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NAME,
    MLFLOW_RUN_NOTE,
    MLFLOW_SOURCE_NAME,
    MLFLOW_USER,
)

from models.errors import OutsideError
from tasks.registry.connection import connect, experiment_id, plain_errors
from tasks.registry.history import whoami

LONGEST_PARAM = 500
ALSO = "also"
"""Tag of a scoring run: the second version that scored the same rows, as MODEL/NUMBER."""


@dataclass(frozen=True)
class RunTitle:
    """How a run shows up in the runs table."""

    model: str
    name: str
    job: str
    parent: str | None = None


def start_run(title: RunTitle, home: Path, tags: Mapping[str, str] | None = None) -> str:
    """The id of a new run in the model's experiment."""
    client = connect()
    with plain_errors("starting a run"):
        named = {MLFLOW_RUN_NAME: title.name, "job": title.job, "model": title.model}
        made_by = {MLFLOW_SOURCE_NAME: "perennial", MLFLOW_USER: whoami()}
        parent = {MLFLOW_PARENT_RUN_ID: title.parent} if title.parent else {}
        run = client.create_run(
            experiment_id(client, title.model, home), tags={**named, **made_by, **parent, **(tags or {})}
        )
        return str(run.info.run_id)


def resume_run(run_id: str) -> bool:
    """Whether the run exists and is not deleted; if so it is running again. Raises OutsideError where none can tell."""
    client = connect()
    with plain_errors("resuming a run"):
        run = _find_run(client, run_id)
        if run is None:
            return False
        client.update_run(run_id, status="RUNNING")
        if "crashed" in run.data.tags:
            client.delete_tag(run_id, "crashed")
            client.set_tag(run_id, MLFLOW_RUN_NOTE, "crashed once, and went on")
    return True


def _find_run(client: MlflowClient, run_id: str) -> Run | None:
    """None where the run does not exist or is deleted."""
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return run if run.info.lifecycle_stage == "active" else None


@contextmanager
def leniently() -> Iterator[None]:
    """What MLflow can't be told is a warning."""
    try:
        yield
    except OutsideError as error:
        print(f"warning: {error}; the result is complete without it", file=sys.stderr)


@contextmanager
def finishing(run_id: str) -> Iterator[None]:
    """Ends the run as FINISHED, FAILED on an error, or KILLED when the user interrupts it."""
    try:
        yield
    except KeyboardInterrupt:
        # What went wrong is the news, not that a server which is gone can't be told of it.
        with suppress(OutsideError):
            end_run(run_id, "KILLED")
        raise
    except BaseException as error:
        with suppress(OutsideError):
            note_run(run_id, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
            end_run(run_id, "FAILED")
        raise
    with leniently():
        end_run(run_id, "FINISHED")


def mark_crashed(run_id: str, why: str) -> None:
    """Ends a run that is said to be running although its process is gone; nothing where it has ended or is unknown.

    Raises OutsideError where MLflow can't be told.
    """
    client = connect()
    with plain_errors("marking a crashed run"):
        run = _find_run(client, run_id)
        if run and run.info.status == "RUNNING":
            note_run(run_id, f"crashed: {why}")
            client.set_tag(run_id, "crashed", "true")
            client.set_terminated(run_id, "KILLED")


def mark_left(parent: str, why: str) -> None:
    """Marks runs beneath the parent that are said to be running, of which the caller knows that none is."""
    client = connect()
    with plain_errors("looking for crashed runs"):
        experiment = client.get_run(parent).info.experiment_id
        beneath = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}' and attributes.status = 'RUNNING'"
        left = client.search_runs([experiment], beneath)
    for run in left:
        mark_crashed(run.info.run_id, why)


def end_run(run_id: str, status: str) -> None:
    """Sets the run's final status."""
    with plain_errors("ending a run"):
        connect().set_terminated(run_id, status)


def note_run(run_id: str, text: str) -> None:
    """Shows `text` as the run's description."""
    with plain_errors("describing a run"):
        connect().set_tag(run_id, MLFLOW_RUN_NOTE, text)


def rename_run(run_id: str, name: str) -> None:
    """Gives the run another name."""
    with plain_errors("naming a run"):
        connect().update_run(run_id, name=name)


def log_params(run_id: str, settings: Mapping[str, Any]) -> None:
    """Nested settings as flat parameters, such as `training.seed`; values are cut where MLflow would refuse them."""
    flat = [Param(key, value[:LONGEST_PARAM]) for key, value in _flatten(settings)]
    with plain_errors("logging parameters"):
        client = connect()
        for start in range(0, len(flat), 100):
            client.log_batch(run_id, params=flat[start : start + 100])


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        elif value not in (None, (), []):
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)


def log_metrics(run_id: str, metrics: Mapping[str, float], step: int = 0, model_id: str | None = None) -> None:
    """Metrics at one step, shown beside the logged model too where one is given."""
    now = int(time.time() * 1000)
    batch = [Metric(key, float(value), now, step, model_id) for key, value in metrics.items()]
    with plain_errors("logging metrics"):
        client = connect()
        for start in range(0, len(batch), 1000):
            client.log_batch(run_id, metrics=batch[start : start + 1000])


def set_tags(run_id: str, tags: Mapping[str, str]) -> None:
    """Tags on the run."""
    with plain_errors("tagging a run"):
        connect().log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def log_files(run_id: str, folder: Path) -> None:
    """Everything in `folder` as artefacts of the run."""
    with plain_errors("uploading artefacts"):
        connect().log_artifacts(run_id, str(folder))


def log_file(run_id: str, path: Path, folder: str) -> None:
    """One file as an artefact of the run, in a folder of its artefacts."""
    with plain_errors("uploading artefacts"):
        connect().log_artifact(run_id, str(path), folder)


def fetch_file(run_id: str, name: str, folder: Path) -> Path:
    """The artefact of that name in a folder of its own beneath `folder`."""
    with plain_errors(f"downloading {name} of run {run_id}"):
        return Path(connect().download_artifacts(run_id, name, str(folder)))


def place_of(run_id: str, name: str) -> str:
    """Where an artefact of the run is: a path where it is on this machine, else its URI."""
    with plain_errors("looking up a run"):
        uri = str(connect().get_run(run_id).info.artifact_uri)
    return f"{unquote(uri.removeprefix('file://'))}/{name}" if uri.startswith("file://") else f"{uri}/{name}"


def log_json(run_id: str, value: Any, name: str) -> None:
    """A JSON artefact."""
    with plain_errors("uploading artefacts"):
        connect().log_dict(run_id, value, name)


def read_json(run_id: str, name: str) -> Any:
    """A JSON artefact of the run; None where the run, or the artefact, is not there."""
    with TemporaryDirectory() as scratch, plain_errors("reading artefacts"):
        client = connect()
        run = _find_run(client, run_id)
        if run is None or name not in [each.path for each in client.list_artifacts(run_id)]:
            return None
        return json.loads(Path(client.download_artifacts(run_id, name, scratch)).read_text(encoding="utf-8"))


def log_dataset(
    run_id: str, name: str, digest: str, origin: Mapping[str, Any], columns: Mapping[str, str], rows: int
) -> None:
    """The snapshot as the run's input dataset: where its rows are from, and its columns with MLflow's types."""
    schema = [{"name": column, "type": kind, "required": False} for column, kind in columns.items()]
    dataset = DatasetEntity(
        name=name,
        digest=digest[:36],
        source_type="perennial",
        source=json.dumps(origin),
        schema=json.dumps({"mlflow_colspec": schema}),
        profile=json.dumps({"rows": rows}),
    )
    with plain_errors("logging the dataset"):
        connect().log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
