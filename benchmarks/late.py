"""A day's outage with an hourly schedule of retraining: what the worker that comes back does with the late runs.

make bench NAME=late
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from mlflow import MlflowClient

from benchmarks.measuring.command import COMMAND, own_environment
from benchmarks.measuring.prefect_server import running_server
from benchmarks.measuring.reporting import Figure, report, temporary_home
from benchmarks.measuring.servers_up import FINAL, Up
from benchmarks.measuring.tables import NUMBERS, TARGET, write_table
from flows.up import runs_at_once

MODEL = "hourly"
HOURS, ROWS = 24, 2_000
PATIENCE_SECONDS = 900
POOL = "perennial"


@dataclass(frozen=True)
class LateRun:
    """How a late run came to its end."""

    state: str
    """The name of its last state."""
    message: str
    taken: datetime
    """When the worker took it."""
    ended: datetime

    @property
    def seconds(self) -> float:
        """From the one to the other, with the start of its process."""
        return (self.ended - self.taken).total_seconds()


def main() -> None:
    """Leaves a day of late runs behind, starts a worker, and waits for all of them."""
    with temporary_home() as home, running_server(home / "prefect") as api:
        up = Up(home, api.removesuffix("/api"), "")
        environment = own_environment(home) | {"PREFECT_API_URL": api}
        miss_a_day(up, write_model(home), environment)
        began = datetime.now(UTC)
        with working(home, environment):
            wait_for_all(up)
        runs = [_ended(up, run) for run in late_runs(up)]
        versions = MlflowClient(f"sqlite:///{home}/mlflow.db").search_model_versions(f"name = '{MODEL}'")
    figures = figures_of(runs, len(versions), began)
    sys.exit(report("late", f"{HOURS} hourly retrainings missed, {ROWS:,} rows", figures))


def figures_of(runs: Sequence[LateRun], versions: int, began: datetime) -> list[Figure]:
    """What became of the runs; `began` is when the worker was started."""
    skipped = [run.seconds for run in runs if run.state == "Skipped" and "does the work" in run.message]
    worked = sum(run.state == "Completed" for run in runs)
    took = (max(run.ended for run in runs) - began).total_seconds()
    return [
        Figure("retrainings that did the work", worked, "runs", "lower", 1, 1),
        Figure("versions that came of them", versions, "versions", "higher", 1, 1),
        Figure("retrainings that gave way to it", len(skipped), "runs", "higher", HOURS - 1, HOURS - 1),
        Figure("neither", len(runs) - worked - len(skipped), "runs", "lower", 0, 0),
        Figure("one that gave way, from its start by the worker, median", median(skipped or [0.0]), "s", "lower"),
        Figure("the same, longest", max(skipped, default=0.0), "s", "lower"),
        Figure("from the start of the worker to the end of all", took, "s", "lower"),
    ]


def write_model(home: Path) -> Path:
    """A model file that is trained every hour, next in 59 minutes, beside its data."""
    write_table(home / "learnt.parquet", ROWS, seed=0)
    minute = (datetime.now(UTC) - timedelta(minutes=1)).minute
    numbers = "\n".join(f'"number {index}" = "number"' for index in range(NUMBERS))
    source = f'[[sources]]\nuri = "learnt.parquet"\n[target]\ncolumn = "{TARGET}"\n[split]\nkey = "key"\n'
    training = f'[training]\nepochs = 5\n[evaluation]\nresamples = 50\n[schedule]\nretrain = "{minute} * * * *"\n'
    path = home / f"{MODEL}.toml"
    path.write_text(f'name = "{MODEL}"\n{source}[columns]\n{numbers}\n{training}', encoding="utf-8")
    return path


def miss_a_day(up: Up, file: Path, environment: dict[str, str]) -> None:
    """Deploys the model file, and lets Prefect schedule the runs of the last day, which nobody has carried out."""
    subprocess.run([str(COMMAND), "deploy", str(file)], env=environment, check=True, stdout=subprocess.DEVNULL)
    deployment = up.ask(f"deployments/name/retrain/{MODEL}")["id"]
    now = datetime.now(UTC)
    day = {"start_time": (now - timedelta(hours=HOURS)).isoformat(), "end_time": now.isoformat(), "min_runs": HOURS}
    up.ask(f"deployments/{deployment}/schedule", day)
    late = late_runs(up)
    if len(late) != HOURS:
        raise RuntimeError(f"{len(late)} late runs instead of {HOURS}")


def late_runs(up: Up) -> list[Any]:
    """Runs of the schedule that are due, oldest first."""
    now = datetime.now(UTC)
    return [run for run in up.runs_of(f"retrain/{MODEL}") if datetime.fromisoformat(run["expected_start_time"]) < now]


@contextmanager
def working(home: Path, environment: dict[str, str]) -> Iterator[None]:
    """A worker like that of `perennial up` runs during the block; it has the runs' own output in a log."""
    words = ("worker", "start", "--pool", POOL, "--type", "process", "--limit", str(runs_at_once()))
    with (home / "worker.log").open("w") as log:
        worker = subprocess.Popen(
            [str(COMMAND.with_name("prefect")), *words, "--install-policy", "never"],
            env=environment,
            stdout=log,
            stderr=log,
        )
        try:
            yield
        finally:
            worker.terminate()
            worker.wait(60)


def wait_for_all(up: Up) -> None:
    """Returns when no late run is left. Raises RuntimeError where that takes too long."""
    until = time.monotonic() + PATIENCE_SECONDS
    while any(run["state_type"] not in FINAL for run in late_runs(up)):
        if time.monotonic() > until:
            raise RuntimeError(f"late runs have not ended in {PATIENCE_SECONDS} s")
        time.sleep(2)


def _ended(up: Up, run: Any) -> LateRun:
    states = up.ask(f"flow_run_states/?flow_run_id={run['id']}")
    when = {state["type"]: datetime.fromisoformat(state["timestamp"]) for state in states}
    ended = datetime.fromisoformat(run["state"]["timestamp"])
    return LateRun(run["state_name"], run["state"]["message"] or "", when.get("PENDING", ended), ended)


if __name__ == "__main__":
    main()
