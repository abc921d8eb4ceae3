"""`perennial up` on a state folder of its own, and what its servers are asked over HTTP."""

import json
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from benchmarks.measuring.command import COMMAND, own_environment

END_SECONDS = 120
BUSY_TRIES = 10
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
"""Types of states that a run does not leave."""


@dataclass(frozen=True)
class Up:
    """Servers and a worker that run."""

    home: Path
    prefect: str
    mlflow: str

    def command(self, *words: str) -> Any:
        """What a command says by --json, in a process of its own; it may judge that something is not good."""
        done = subprocess.run(
            [str(COMMAND), *words, "--json"], env=own_environment(self.home), capture_output=True, text=True
        )
        if done.returncode not in (0, 1):
            raise RuntimeError(f"perennial {words[0]}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout.strip().splitlines()[-1])

    def run(self, deployment: str, parameters: Mapping[str, Any], patience: float = 180) -> Any:
        """The flow run of a deployment after it came to its end. Raises RuntimeError where that is a failure."""
        found = self.ask(f"deployments/name/{deployment}")
        begun = self.ask(f"deployments/{found['id']}/create_flow_run", {"parameters": dict(parameters)})
        run = self.ended(begun["id"], patience)
        if run["state_type"] != "COMPLETED":
            raise RuntimeError(f"{deployment}: {run['state']['message']}")
        return run

    def ended(self, flow_run: str, patience: float) -> Any:
        """The flow run after it came to its end. Raises RuntimeError where that takes too long."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            run = self.ask(f"flow_runs/{flow_run}")
            if run["state_type"] in FINAL:
                return run
            time.sleep(0.5)
        raise RuntimeError(f"flow run {flow_run} has not ended in {patience:g} s")

    def runs_of(self, deployment: str) -> list[Any]:
        """The flow runs of a deployment, oldest first."""
        found = self.ask(f"deployments/name/{deployment}")
        wanted = {"deployments": {"id": {"any_": [found["id"]]}}, "sort": "EXPECTED_START_TIME_ASC"}
        runs: list[Any] = self.ask("flow_runs/filter", wanted)
        return runs

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What Prefect's API answers; asked again, as Prefect's clients do, while its database is busy (503)."""
        url, content = f"{self.prefect}/api/{path}", None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(url, content, {"Content-Type": "application/json"})
        tries = 1
        while True:
            try:
                with urllib.request.urlopen(asked, timeout=60) as answer:
                    return json.loads(answer.read())
            except urllib.error.HTTPError as error:
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE or tries == BUSY_TRIES:
                    raise
            tries += 1
            time.sleep(1)

    def champion(self, model: str) -> str | None:
        """The number of the version that is champion, as MLflow's API tells it; None where there is none."""
        asked = urllib.parse.urlencode({"name": model, "alias": "champion"})
        url = f"{self.mlflow}/api/2.0/mlflow/registered-models/alias?{asked}"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return str(json.loads(answer.read())["model_version"]["version"])
        except urllib.error.HTTPError:
            return None


@contextmanager
def servers_up(home: Path) -> Iterator[Up]:
    """All healthy; asked to end at the end of the block. Raises RuntimeError where they do not start."""
    words = [str(COMMAND), "up", "--json"]
    with (home / "up.log").open("w") as log, subprocess.Popen(
        words, env=own_environment(home), stdout=subprocess.PIPE, stderr=log, text=True
    ) as process:  # fmt: skip
        line = process.stdout.readline() if process.stdout else ""
        told = json.loads(line or "{}")
        try:
            if "prefect" not in told:
                raise RuntimeError(f"perennial up: {(home / 'up.log').read_text()}")
            yield Up(home, told["prefect"], told["mlflow"])
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=END_SECONDS)
