"""The process of the MLflow server of `perennial up`: `python -m flows.serve_mlflow PORT`."""

import sys
from pathlib import Path

from flows.screen import tell_error
from flows.ui import become_mlflow, tracking_uri


def serve(port: int) -> None:
    """Becomes MLflow, after the store was made where it is missing, or ends with a plain line."""
    try:
        _make_store()
    except Exception as error:
        sys.exit(tell_error(error, debug=False, as_json=False))
    become_mlflow(port)


def _make_store() -> None:
    """What MLflow would leave half made where it is killed. Loading it to look at what is there takes seconds."""
    if Path(tracking_uri().removeprefix("sqlite:///")).exists():
        return
    from tasks.registry.connection import connect, plain_errors

    with plain_errors("opening the tracking store"):
        connect()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
