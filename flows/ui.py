"""The MLflow UI on the runs of this project."""

import os
import socket
import sys
from typing import NoReturn

from flows.environment import OFF_SCREEN, state_folder
from models.errors import OutsideError
from tasks.addresses import ARTIFACTS

QUIETER = {
    # One worker and no job runners: this server shows runs to one person.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONWARNINGS": "ignore",
}
FAILURES = "ERROR"
"""Log level of the server where the environment names none: what fails while somebody looks is shown."""


def tracking_uri() -> str:
    """Where MLflow's data is: a database, or a server's address."""
    return os.environ["MLFLOW_TRACKING_URI"]


def serve_ui(port: int) -> None:
    """Replaces this process by the MLflow server on the embedded store, or says where the real server is.

    Raises OutsideError when the port is taken, or the store can't be opened.
    """
    uri = tracking_uri()
    if uri.startswith("http"):
        print(f"MLflow runs at {uri}")
        return
    require_free(port)
    print(f"MLflow UI: {_page(port)}/#/experiments?workflowType=machine_learning   (Ctrl-C ends it)")
    for model, link in links_to_runs(port).items():
        print(f"  {model}: {link}")
    sys.stdout.flush()
    become_mlflow(port)


def become_mlflow(port: int) -> NoReturn:
    """Replaces this process by the MLflow server on the store that the environment names.

    Artefacts are written by its clients, where commands without a server write them too.
    """
    uri, artifacts = tracking_uri(), (state_folder() / ARTIFACTS).as_uri()
    os.environ.update(QUIETER)
    if os.environ.get("MLFLOW_LOGGING_LEVEL") == OFF_SCREEN["MLFLOW_LOGGING_LEVEL"]:
        os.environ["MLFLOW_LOGGING_LEVEL"] = FAILURES
    stores = ["--backend-store-uri", uri, "--registry-store-uri", uri]
    files = ["--default-artifact-root", artifacts, "--no-serve-artifacts"]
    place = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    quiet = ["--uvicorn-opts", "--log-level warning"]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", *stores, *place, *files, *quiet])


def links_to_runs(port: int) -> dict[str, str]:
    """For each model the page with its runs; MLflow's own start page shows other things first."""
    from tasks.registry.connection import connect, plain_errors

    with plain_errors("looking up the models"):
        found = connect().search_experiments(order_by=["name"])
    query = "workflowType=machine_learning"
    return {e.name: f"{_page(port)}/#/experiments/{e.experiment_id}/runs?{query}" for e in found if e.name != "Default"}


def require_free(port: int) -> None:
    """Passes when this machine lets us listen on the port. Raises OutsideError when not."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutsideError(f"port {port}: {reason}; choose another one with --port") from None


def _page(port: int) -> str:
    return f"http://127.0.0.1:{port}"
