"""How long `perennial up` takes until the Prefect server, the MLflow server and the worker are all healthy.

make bench NAME=servers
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measuring.command import COMMAND, own_environment
from benchmarks.measuring.reporting import Figure, report, temporary_home

END_SECONDS = 120
WARM_UP = "import mlflow.server, prefect.server.api.server, prefect.workers.process"
"""Reads the libraries from disk once, which the first command after an installation has done as well."""


def main() -> None:
    """Starts all in a state folder of its own, where both databases are made, and once more where they are there."""
    subprocess.run([sys.executable, "-c", WARM_UP], check=True)
    with temporary_home() as home:
        first, again = seconds_to_healthy(home), seconds_to_healthy(home)
    figures = [
        Figure("perennial up, in a new state folder", first, "s", "lower", 45.0),
        Figure("perennial up, again", again, "s", "lower", 45.0),
    ]
    sys.exit(report("servers", "from the command to all healthy, once", figures))


def seconds_to_healthy(home: Path) -> float:
    """From the command until it tells the addresses; all has ended when this returns.

    Raises RuntimeError when it ends before, or can't be stopped.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        [str(COMMAND), "up", "--json"], env=own_environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        line = process.stdout.readline() if process.stdout else ""
        seconds = time.perf_counter() - started
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=END_SECONDS)
    if process.returncode != 0 or "prefect" not in json.loads(line or "{}"):
        raise RuntimeError(f"perennial up: exit code {process.returncode}: {said}")
    return seconds


if __name__ == "__main__":
    main()
