"""Windows that versions were monitored by, as their runs in MLflow tell of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlflow.entities import Run

from tasks.monitoring.alarm import WindowRecord
from tasks.registry.connection import connect, plain_errors
from tasks.registry.runs import log_json, read_json, set_tags
from tasks.registry.versions import Version

DRIFTED, WINDOW, EVENT = "drifted", "window", "event"
"""Tags of a window's run: whether anything has drifted in it, a digest of its rows, the event that followed from it."""
FILES = "files.json"
"""What windows of a model have read so far, as an artefact of each of their runs."""
MOST_RUNS = 100


def record_window(run_id: str, drifted: bool, digest: str, files: Sequence[Mapping[str, Any]]) -> None:
    """Tags the run with what later windows have to know of it, and keeps the files that are read by now."""
    log_json(run_id, list(files), FILES)
    set_tags(run_id, {DRIFTED: str(drifted).lower(), WINDOW: digest})


def note_event(run_id: str, event: str) -> None:
    """Keeps that the event followed from the window."""
    set_tags(run_id, {EVENT: event})


def last_windows(version: Version, run_id: str) -> list[WindowRecord]:
    """Windows of the version, newest first: that of `run_id`, which is open still, and those that came to their end.

    Runs that failed or were killed are none.
    """
    wanted = f"tags.version = '{version.number}'"
    if version.run_id:
        # A model that was deleted and made again numbers its versions from 1 again.
        wanted += f" and tags.`mlflow.parentRunId` = '{version.run_id}'"
    found = _monitorings(version.model, wanted)
    return [_record(run) for run in found if run.info.run_id == run_id or run.info.status == "FINISHED"]


def files_read(model: str) -> list[dict[str, Any]]:
    """What the files that windows of any version of the model have read looked like then."""
    for run in _monitorings(model, "attributes.status = 'FINISHED'"):
        # Windows of earlier releases have none.
        if WINDOW in run.data.tags:
            found: list[dict[str, Any]] = read_json(run.info.run_id, FILES)
            return found
    return []


def _monitorings(model: str, wanted: str) -> list[Run]:
    with plain_errors(f"looking up windows of {model!r}"):
        client = connect()
        experiment = client.get_experiment_by_name(model)
        if experiment is None:
            return []
        return list(
            client.search_runs(
                [experiment.experiment_id],
                f"tags.job = 'monitor' and {wanted}",
                max_results=MOST_RUNS,
                order_by=["attributes.start_time DESC"],
            )
        )


def _record(run: Run) -> WindowRecord:
    tags = run.data.tags
    drifted = tags.get(DRIFTED) == "true"
    digest = tags.get(WINDOW, run.info.run_id)
    return WindowRecord(run.info.run_id, run.info.start_time / 1000, drifted, digest, EVENT in tags)
