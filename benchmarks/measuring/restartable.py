"""Servers of a measurement that go away and come back at the same address, with the state that they had."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measuring.command import own_environment
from benchmarks.measuring.prefect_server import free_port, wait_for

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


@dataclass
class Restartable:
    """A process of Python that answers at `address` and keeps its state in `folder`."""

    words: Sequence[str]
    address: str
    health: str
    folder: Path
    environment: Mapping[str, str]
    _process: "subprocess.Popen[bytes] | None" = field(default=None)

    def start(self) -> None:
        """Returns when it answers. Raises RuntimeError when it does not."""
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self.words],
                env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_for(f"{self.address}{self.health}", self._process)

    def kill(self) -> None:
        """It and its workers, without a word; nothing where it is gone already."""
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)


@contextmanager
def restartable_mlflow(folder: Path) -> Iterator[Restartable]:
    """An MLflow server that runs; killed at the end of the block."""
    stores = ("--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts")
    port = free_port()
    place = ("--host", "127.0.0.1", "--port", str(port), "--workers", "1")
    with _running(("mlflow", "server", *place, *stores), port, "/health", folder) as server:
        yield server


@contextmanager
def restartable_prefect(folder: Path) -> Iterator[Restartable]:
    """A Prefect server that runs; killed at the end of the block."""
    port = free_port()
    words = ("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui")
    with _running(words, port, "/api/health", folder) as server:
        yield server


@contextmanager
def _running(words: Sequence[str], port: int, health: str, folder: Path) -> Iterator[Restartable]:
    folder.mkdir(parents=True)
    environment = own_environment(folder) | QUIET | {"PREFECT_HOME": str(folder)}
    server = Restartable(words, f"http://127.0.0.1:{port}", health, folder, environment)
    try:
        server.start()
        yield server
    finally:
        server.kill()
