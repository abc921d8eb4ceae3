"""Settings that MLflow and Prefect read from the environment, set before either is imported."""

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from flows.servers import settings_of_up
from models.errors import InputError, OutsideError
from tasks.addresses import has_credentials

HOME = "PERENNIAL_HOME"
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "ORT_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Switches off the usage reports of the libraries; each is read when its library is loaded."""

PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""torch's threads sleep while they wait: spinning slows training many times where another process wants the core."""

OFF_SCREEN = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_HANDLERS_DEBUG_LEVEL": "CRITICAL",
    # At any lower level MLflow logs what went wrong with SQL and tracebacks, before our plain line says it.
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    # Bars of MLflow's own appear with tqdm, which the search brings along.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""Keeps the log lines and bars of Prefect and MLflow away from what a command prints."""


def project_folder() -> Path:
    """The checkout that this file is in, or the current folder where perennial is installed without one."""
    root = Path(__file__).resolve().parents[1]
    return root if (root / "mlflow.env").exists() else Path.cwd()


def prepare(environ: MutableMapping[str, str] = os.environ) -> Path:
    """The state folder, after every setting that the environment leaves open got its default.

    Order of precedence: the environment, the servers of `perennial up`, `mlflow.env`, the defaults here.
    """
    home = Path(environ.get(HOME) or project_folder() / ".perennial").expanduser().resolve()
    environ[HOME] = str(home)
    if "?" in str(home):
        raise InputError(f"{home}: can't be the state folder: an SQLite address ends at '?'; set {HOME} to another")
    try:
        (home / "prefect").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutsideError(f"{home}: can't be used as the state folder ({error.strerror}); set {HOME}") from None
    for key, value in {**defaults(home), **settings_of_up(home)}.items():
        environ.setdefault(key, value)
    return home


def keep_off_screen(environ: MutableMapping[str, str] = os.environ) -> None:
    """Leaves the screen to what the command says, except for log lines that the environment asks for."""
    for key, value in OFF_SCREEN.items():
        environ.setdefault(key, value)


def on_screen(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a program whose log lines are to be seen."""
    return {key: value for key, value in environ.items() if OFF_SCREEN.get(key) != value}


def settings_in_force(environ: MutableMapping[str, str] = os.environ) -> dict[str, str]:
    """Every setting as commands use it, so that other programs can be given the same.

    An address that the environment gave with user or password is left out: it is there already, and not ours to show.
    """
    given = dict(environ)
    home = prepare(environ)
    names = (HOME, *{**defaults(home), **settings_of_up(home)})
    return {key: environ[key] for key in names if not (key in given and has_credentials(given[key]))}


def defaults(home: Path) -> dict[str, str]:
    """Every setting that the environment may leave open."""
    return {**_mlflow_env(project_folder() / "mlflow.env", home), **prefect_settings(home), **QUIET, **PATIENT}


def _mlflow_env(path: Path, home: Path) -> dict[str, str]:
    """Lines KEY=VALUE of the file, with ${PERENNIAL_HOME} filled in."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith("#"))
    settings = {key.strip(): value.strip().replace("${PERENNIAL_HOME}", str(home)) for key, value in pairs}
    return {"MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db", **settings}


def prefect_settings(home: Path) -> dict[str, str]:
    """Settings that a Prefect server on this state folder must have too."""
    return {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        # The leases of a promotion must outlive the process that took them, so that they run out instead of staying.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }


def state_folder() -> Path:
    """The state folder, with every setting in place, however the flow was started."""
    return prepare()
