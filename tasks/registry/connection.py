"""The way to MLflow: one client, its failures as plain errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from models.errors import OutsideError

ARTIFACTS = "artifacts"
KIND = {"mlflow.experimentKind": "custom_model_development"}
"""The UI then opens on runs and metrics instead of traces."""


def connect() -> MlflowClient:
    """A client of the tracking server that the environment names."""
    return MlflowClient(mlflow.get_tracking_uri())


@contextmanager
def plain_errors(doing: str) -> Iterator[None]:
    """MLflow's failures as one line that says what was being done and where."""
    try:
        yield
    except MlflowException as error:
        uri = _without_credentials(mlflow.get_tracking_uri())
        first = str(error).strip().splitlines()[0]
        if "Max retries exceeded" in first:
            raise OutsideError(f"MLflow at {uri} can't be reached while {doing}; is the server running?") from error
        raise OutsideError(f"MLflow at {uri} failed while {doing}: {_without_credentials(first)[:300]}") from error


def _without_credentials(text: str) -> str:
    return re.sub(r"://[^/@\s]+@", "://***@", text)


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
