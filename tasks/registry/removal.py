"""Removing versions, logged models and runs from MLflow: first from sight, then their files, then the rows."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.file_utils import local_file_uri_to_path

from models.errors import RefusedError
from tasks.registry.connection import plain_errors
from tasks.registry.history import new_event, record
from tasks.registry.retained import Recorded
from tasks.registry.versions import list_versions

ABSENT = "RESOURCE_DOES_NOT_EXIST"


def remove_version(recorded: Recorded, model: str, number: str, why: str) -> None:
    """The registered version is gone, but not its files. Raises RefusedError where it has an alias."""
    version = next((version for version in list_versions(model) if version.number == number), None)
    if version and version.aliases:
        raise RefusedError(f"{model}: version {number} is {version.aliases[0]} now, and stays")
    if version:
        # Before it happens: told twice after a kill is better than never.
        record(model, new_event("removed", number, None, "gc", (why,)))
        with plain_errors(f"removing version {number} of {model!r}"):
            recorded.client.delete_model_version(model, number)


def remove_model(recorded: Recorded, model_id: str) -> None:
    """The logged model is gone, with its files where MLflow's store is a database, and not a server."""
    with plain_errors(f"removing the logged model {model_id}"):
        _unless_absent(lambda: recorded.client.delete_logged_model(model_id))
        store = recorded.database
        if store:
            _unless_absent(lambda: _remove_files(recorded.logged(model_id).artifact_location))
            # The command `mlflow gc` would also remove all experiments that somebody has marked as deleted.
            _unless_absent(lambda: store._hard_delete_logged_model(model_id))  # type: ignore[no-untyped-call]


def remove_run(recorded: Recorded, run_id: str) -> None:
    """The run is gone, with its artefacts where MLflow's store is a database, and not a server."""
    with plain_errors(f"removing the run {run_id}"):
        _unless_absent(lambda: recorded.client.delete_run(run_id))
        store = recorded.database
        if store:
            _unless_absent(lambda: _remove_files(recorded.client.get_run(run_id).info.artifact_uri))
            _unless_absent(lambda: store._hard_delete_run(run_id))  # type: ignore[no-untyped-call]


def _unless_absent(do: Callable[[], None]) -> None:
    try:
        do()
    except MlflowException as error:
        if error.error_code != ABSENT:
            raise


def _remove_files(uri: str) -> None:
    get_artifact_repository(uri).delete_artifacts()  # type: ignore[no-untyped-call]
    folder = _local(uri)
    # MLflow leaves the folder that they were in.
    if folder and folder.parent.is_dir() and not any(folder.parent.iterdir()):
        folder.parent.rmdir()


def stored_bytes(recorded: Recorded, *, run_id: str = "", model_id: str = "") -> int:
    """Bytes of the artefacts of a run or of a logged model."""
    with plain_errors("looking at artefacts"):
        if model_id:
            return _bytes(recorded.logged(model_id).artifact_location)
        return _bytes(recorded.client.get_run(run_id).info.artifact_uri)


def _bytes(uri: str, path: str | None = None) -> int:
    listed = get_artifact_repository(uri).list_artifacts(path)
    return sum(_bytes(uri, each.path) if each.is_dir else each.file_size or 0 for each in listed)


def _local(uri: str) -> Path | None:
    is_local = urlsplit(uri).scheme in ("", "file")
    return Path(local_file_uri_to_path(uri)) if is_local else None  # type: ignore[no-untyped-call]
