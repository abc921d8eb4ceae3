"""Trainings while a server goes away or their worker is killed: what is lost, and what is trained again.

make bench NAME=outages
"""

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from mlflow import MlflowClient

from benchmarks.measuring.command import COMMAND, own_environment
from benchmarks.measuring.reporting import Figure, report, temporary_home
from benchmarks.measuring.restartable import Restartable, restartable_mlflow, restartable_prefect
from benchmarks.measuring.tables import NUMBERS, TARGET, write_table

ROWS, EPOCHS, BEFORE = 20_000, 30, 4
"""Epochs of each training, and of those that it has made when something happens."""
OUTAGE_SECONDS, RESTART_SECONDS = 60, 10
TRIES, PATIENCE_SECONDS = 3, 600
POOL = "perennial"


@dataclass(frozen=True)
class Site:
    """Both servers, and commands and workers that use them."""

    home: Path
    mlflow: Restartable
    prefect: Restartable

    @property
    def environment(self) -> dict[str, str]:
        """Of commands and workers."""
        servers = {"MLFLOW_TRACKING_URI": self.mlflow.address, "PREFECT_API_URL": f"{self.prefect.address}/api"}
        return own_environment(self.home) | servers

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """A process of Python's command of that name."""
        return subprocess.Popen(
            [str(COMMAND.with_name(words[0])), *words[1:]],
            env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def write_model(self, name: str) -> Path:
        """A model file that trains for all epochs."""
        path = self.home / f"{name}.toml"
        numbers = "\n".join(f'"number {index}" = "number"' for index in range(NUMBERS))
        source = f'[[sources]]\nuri = "learnt.parquet"\n[target]\ncolumn = "{TARGET}"\n[split]\nkey = "key"\n'
        training = f"[training]\nepochs = {EPOCHS}\npatience = {EPOCHS}\n[evaluation]\nresamples = 50\n"
        path.write_text(f'name = "{name}"\n{source}[columns]\n{numbers}\n{training}')
        return path


@dataclass(frozen=True)
class Outcome:
    """What became of a training."""

    commands: int
    """That were given until the version was there."""
    runs: int
    """Of MLflow, that hold epochs."""
    missing: int
    """Epochs without metrics."""
    contradicted: int
    """Epochs with two different losses."""
    again: int
    """Epochs that were trained more than once."""


def mlflow_gone(site: Site) -> Outcome:
    """The MLflow server is killed, and comes back after a minute."""

    def happen() -> None:
        site.mlflow.kill()
        time.sleep(OUTAGE_SECONDS)
        site.mlflow.start()

    return _by_command(site, "mlflow-gone", happen)


def prefect_restarted(site: Site) -> Outcome:
    """The Prefect server is killed, and comes back after some seconds."""

    def happen() -> None:
        site.prefect.kill()
        time.sleep(RESTART_SECONDS)
        site.prefect.start()

    return _by_command(site, "prefect-restarted", happen)


def worker_killed(site: Site) -> Outcome:
    """The worker is killed with the run that it has started; another worker gets another run."""
    name = "worker-killed"
    _require(site.start("perennial", "deploy", str(site.write_model(name))))
    words = ("prefect", "worker", "start", "--pool", POOL, "--type", "process", "--install-policy", "never")
    for attempt in (1, 2):
        worker = site.start(*words)
        _require(site.start("prefect", "deployment", "run", f"train/{name}"))
        if attempt == 1:
            _wait(lambda: _epochs(site, name) >= BEFORE)
        else:
            _wait(lambda: _is_registered(site, name))
        _kill_tree(worker.pid)
        worker.communicate()
    return _outcome(site, name, 2)


MISHAPS: dict[str, Callable[[Site], Outcome]] = {
    f"MLflow server gone for {OUTAGE_SECONDS} s": mlflow_gone,
    "Prefect server restarted": prefect_restarted,
    "worker killed": worker_killed,
}


def main() -> None:
    """Lets each happen to a training of its own."""
    figures: list[Figure] = []
    with (
        temporary_home() as home,
        restartable_mlflow(home / "mlflow") as mlflow,
        restartable_prefect(home / "prefect-server") as prefect,
    ):
        write_table(home / "learnt.parquet", ROWS, seed=0)
        for name, mishap in MISHAPS.items():
            figures += _figures(name, mishap(Site(home, mlflow, prefect)))
            print(f"{name}: done", file=sys.stderr, flush=True)
    sys.exit(report("outages", f"trainings of {EPOCHS} epochs", figures))


def _figures(name: str, outcome: Outcome) -> list[Figure]:
    return [
        Figure(f"{name}: commands until the version was there", outcome.commands, "commands", "lower", 2, 1),
        Figure(f"{name}: runs of the training", outcome.runs, "runs", "lower", 1, 1),
        Figure(f"{name}: epochs without metrics", outcome.missing, "epochs", "lower", 0, 0),
        Figure(f"{name}: epochs with contradicting metrics", outcome.contradicted, "epochs", "lower", 0, 0),
        Figure(f"{name}: epochs trained again", outcome.again, "epochs", "lower", 1, 0),
    ]


def _by_command(site: Site, name: str, happen: Callable[[], None]) -> Outcome:
    """`perennial train`, to which something happens, given again until it succeeds."""
    file = str(site.write_model(name))
    process = site.start("perennial", "train", file)
    _wait(lambda: _epochs(site, name) >= BEFORE)
    happen()
    commands, (_, said) = 1, process.communicate(timeout=PATIENCE_SECONDS)
    while process.returncode != 0 and commands < TRIES:
        print(f"{name}: exit code {process.returncode}: {said.strip().splitlines()[-1:]}", file=sys.stderr, flush=True)
        process = site.start("perennial", "train", file)
        commands, (_, said) = commands + 1, process.communicate(timeout=PATIENCE_SECONDS)
    if process.returncode != 0:
        raise RuntimeError(f"{name}: {said}")
    return _outcome(site, name, commands)


def _outcome(site: Site, name: str, commands: int) -> Outcome:
    losses: dict[int, list[float]] = defaultdict(list)
    histories = [history for history in _histories(site, name) if history]
    for step, loss in (point for history in histories for point in history):
        losses[step].append(loss)
    contradicted = sum(1 for found in losses.values() if len(set(found)) > 1)
    again = sum(len(found) - 1 for found in losses.values())
    return Outcome(commands, len(histories), EPOCHS - len(losses), contradicted, again)


def _histories(site: Site, name: str) -> list[list[tuple[int, float]]]:
    """Epoch and loss of each run of the model."""
    client = MlflowClient(site.mlflow.address)
    experiment = client.get_experiment_by_name(name)
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    return [[(m.step, m.value) for m in client.get_metric_history(r.info.run_id, "train_loss")] for r in runs]


def _epochs(site: Site, name: str) -> int:
    return sum(len({step for step, _ in history}) for history in _histories(site, name))


def _is_registered(site: Site, name: str) -> bool:
    return bool(MlflowClient(site.mlflow.address).search_model_versions(f"name = '{name}'"))


def _wait(ready: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not ready():
        if time.monotonic() > until:
            raise RuntimeError(f"nothing has happened for {PATIENCE_SECONDS} s")
        time.sleep(0.3)


def _require(process: "subprocess.Popen[str]") -> None:
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    if process.returncode != 0:
        raise RuntimeError(f"exit code {process.returncode}: {said}")


def _kill_tree(pid: int) -> None:
    """The process and all that it has started, the first one first so that it can't tell anybody."""
    first = psutil.Process(pid)
    for process in [first, *first.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


if __name__ == "__main__":
    main()
