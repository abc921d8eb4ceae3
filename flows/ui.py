"""The MLflow UI on the runs of this project."""

import os
import sys


def tracking_uri() -> str:
    """Where MLflow's data is: a database, or a server's address."""
    return os.environ["MLFLOW_TRACKING_URI"]


def serve_ui(port: int) -> None:
    """Replaces this process by the MLflow server on the embedded store, or says where the real server is."""
    uri = tracking_uri()
    if uri.startswith("http"):
        print(f"MLflow runs at {uri}")
        return
    print(
        f"MLflow UI: http://127.0.0.1:{port}/#/experiments?workflowType=machine_learning   (Ctrl-C ends it)", flush=True
    )
    # One worker and no job runners: this server shows runs to one person.
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    command = ["-m", "mlflow", "ui", "--backend-store-uri", uri, "--port", str(port), "--workers", "1"]
    os.execv(sys.executable, [sys.executable, *command])
