"""The way to MLflow: one client, its failures as plain errors."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from models.errors import OutsideError
from tasks.addresses import ARTIFACTS, without_credentials
from tasks.aside import HeldError, folder_aside, held

SQLITE = "sqlite:///"
PATIENCE_SECONDS = 60
UNAUTHENTICATED = "UNAUTHENTICATED"
"""MLflow's word for an answer with status 401."""
KIND = {"mlflow.experimentKind": "custom_model_development"}
"""The UI then opens on runs and metrics instead of traces."""


def connect() -> MlflowClient:
    """A client of the tracking server that the environment names; the embedded database is made where it is missing.

    Raises OutsideError when it can't be made.
    """
    uri = mlflow.get_tracking_uri()
    database = Path(uri.removeprefix(SQLITE))
    if uri.startswith(SQLITE) and not database.exists():
        _make_database(database)
    return MlflowClient(uri)


def _make_database(database: Path) -> None:
    """An empty database, whole or not at all: MLflow can't use one that a full disk or a kill left half made."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with _alone(database), folder_aside(database.parent, database.name) as aside:
            if not database.exists():
                MlflowClient(f"{SQLITE}{aside / database.name}")
                (aside / database.name).rename(database)
    except (OSError, SQLAlchemyError, MlflowException) as error:
        raise OutsideError(f"{database}: MLflow's database can't be made ({_reason(error)})") from None


@contextmanager
def _alone(database: Path) -> Iterator[None]:
    """One process at a time; the others wait until the database is there."""
    lock, deadline = database.with_name(f".{database.name}.lock"), time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with held(lock, f"process {os.getpid()}"):
                yield
            return
        except HeldError as other:
            if time.monotonic() > deadline:
                raise OutsideError(f"{database}: is being made by {other} for too long; try again") from None
            time.sleep(0.1)


@contextmanager
def plain_errors(doing: str) -> Iterator[None]:
    """MLflow's failures as one line that says what was being done and where."""
    try:
        yield
    except MlflowException as error:
        uri = without_credentials(mlflow.get_tracking_uri())
        first = str(error).strip().splitlines()[0]
        if "Max retries exceeded" in first:
            raise OutsideError(f"MLflow at {uri} can't be reached while {doing}; is the server running?") from error
        if error.error_code == UNAUTHENTICATED:
            told = f"MLflow at {uri} asks for user and password while {doing}"
            raise OutsideError(f"{told}; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD") from error
        raise OutsideError(f"MLflow at {uri} failed while {doing}: {without_credentials(first)[:300]}") from error
    except Exception as error:
        # The database's own errors and its driver's absence; loading sqlalchemy to name them would take long.
        if type(error).__module__.partition(".")[0] not in ("sqlalchemy", "sqlite3", "alembic"):
            raise
        raise OutsideError(f"{without_credentials(mlflow.get_tracking_uri())}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The database's own words, or those of whatever else failed, in one line."""
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]


def experiment_id(client: MlflowClient, model: str, home: Path) -> str:
    """The model's experiment, made when it is missing; on the embedded store its artefacts go under `home`."""
    with plain_errors(f"looking up the experiment {model!r}"):
        found = client.get_experiment_by_name(model)
        if found is not None:
            return str(found.experiment_id)
        embedded = mlflow.get_tracking_uri().startswith("sqlite:")
        try:
            place = (home / ARTIFACTS / model).as_uri() if embedded else None
            return str(client.create_experiment(model, place, tags=KIND))
        except MlflowException:
            # Another process made it between the look-up and the creation.
            found = client.get_experiment_by_name(model)
            if found is None:
                raise
            return str(found.experiment_id)
