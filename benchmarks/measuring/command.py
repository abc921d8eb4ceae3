"""`perennial score` as people call it, with the light model in an MLflow of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring.prefect_server import free_port, wait_for

COMMAND = Path(sys.executable).with_name("perennial")
MODEL = "light"


def own_environment(home: Path) -> dict[str, str]:
    """This process's environment, pointed at the state folder and at no server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    return {**kept, "PERENNIAL_HOME": str(home)}


@dataclass(frozen=True)
class Command:
    """Calls commands on one state folder."""

    home: Path
    tracking: str | None = None
    """The address of an MLflow server; without one it is embedded."""

    @property
    def environment(self) -> dict[str, str]:
        """Of each command."""
        server = {"MLFLOW_TRACKING_URI": self.tracking} if self.tracking else {}
        return own_environment(self.home) | server

    def register(self, package: Path, learnt: Path) -> None:
        """The package as version 1 and champion; the model file is one for the table `learnt`."""
        words = ("-m", "benchmarks.measuring.registered", str(package), str(learnt))
        subprocess.run([sys.executable, *words], env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def start(
        self, data: str, output: str, shard_rows: int, key: str | None = None, engine: str = "local"
    ) -> "subprocess.Popen[str]":
        """`perennial score` in a process group of its own; what it says of failures is its standard error."""
        words = ["--input", data, "--output", output, "--shard-rows", str(shard_rows), *(["--key", key] if key else [])]
        return subprocess.Popen(
            [str(COMMAND), "score", MODEL, *words, "--engine", engine], env=self.environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


@dataclass(frozen=True)
class MlflowServer:
    """`mlflow server` with its own database and artefacts."""

    uri: str
    process: "subprocess.Popen[bytes]"

    def kill(self) -> None:
        """It and its workers, without a word; nothing where it is gone already."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)


@contextmanager
def mlflow_server(folder: Path) -> Iterator[MlflowServer]:
    """A server that keeps its state in `folder`; killed at the end of the block."""
    folder.mkdir(parents=True)
    port = free_port()
    stores = ("--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts")
    words = ("-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *stores)
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *words], env=own_environment(folder) | {"MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    server = MlflowServer(f"http://127.0.0.1:{port}", process)
    try:
        wait_for(f"{server.uri}/health", process)
        yield server
    finally:
        server.kill()
