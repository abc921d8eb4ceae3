"""Servers of one version, ours and MLflow's, in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring.command import COMMAND, own_environment
from benchmarks.measuring.prefect_server import free_port, wait_for


@dataclass(frozen=True)
class Server:
    """One that answers."""

    port: int
    pid: int
    seconds: float = 0.0
    """From its start until it was ready, as seen from outside."""


@contextmanager
def serving(home: Path, *words: str) -> Iterator[Server]:
    """`perennial serve`; ended at the end of the block. Raises RuntimeError where it does not start."""
    began = time.perf_counter()
    command = [str(COMMAND), "serve", *words, "--port", "0", "--json"]
    process = subprocess.Popen(command, env=own_environment(home), stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise RuntimeError("perennial serve has not started")
        yield Server(int(json.loads(line)["address"].rpartition(":")[2]), process.pid, time.perf_counter() - began)
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def mlflow_serving(home: Path, uri: str) -> Iterator[Server]:
    """`mlflow models serve` of a version with one worker process, in this environment."""
    port = free_port()
    words = ("-m", "mlflow", "models", "serve", "-m", uri, "--env-manager", "local", "--port", str(port))
    settings = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
        "PATH": f"{COMMAND.parent}:{os.environ.get('PATH', '')}",
    }
    with (home / "mlflow-serve.log").open("w") as file:
        process = subprocess.Popen(
            [sys.executable, *words, "--workers", "1"], env=own_environment(home) | settings,
            stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", process)
        yield Server(port, process.pid)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
