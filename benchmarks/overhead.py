"""What Prefect costs: the retrain flow over the same steps called as plain functions, and `perennial score` as a whole.

make bench NAME=overhead
.venv/bin/python -m benchmarks.overhead --repeats 1                # a quick look, not an official result
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.measuring.prefect_server import running_server
from benchmarks.measuring.reporting import Figure, report, temporary_home
from benchmarks.measuring.tables import TARGET, write_table
from benchmarks.measuring.trained import new_model_file

REPEATS = 5
ROWS, SCORED, NUMBERS = 1500, 1000, 4
TINY = "[network]\nmembers = 1\nwidth = 16\ndepth = 1\n\n[training]\nepochs = 2\n\n[evaluation]\nresamples = 50\n"
COMMAND = Path(sys.executable).with_name("perennial")


def main(repeats: Annotated[int, typer.Option(help="Repeats of each measurement.")] = REPEATS) -> None:
    """Measures with a server of its own, then without."""
    bench = os.environ.get("PERENNIAL_HOME")
    with temporary_home() as home:
        figures = measure(home, repeats)
    os.environ.pop("PERENNIAL_HOME")
    os.environ |= {"PERENNIAL_HOME": bench} if bench else {}
    sys.exit(report("overhead", f"median of {repeats}", figures, official=repeats >= 3))


def measure(home: Path, repeats: int) -> list[Figure]:
    """All figures; the settings of this process then belong to the measurement."""
    data = write_table(home / "data" / "rows.parquet", ROWS, 0, NUMBERS)
    file = new_model_file([data], TARGET, "bench", home, TINY)
    rows = write_table(home / "new.parquet", SCORED, 1, NUMBERS, labelled=False)
    with running_server(home / "server") as api:
        _settle(home, api)
        flow, plain = time_retraining(file, data, repeats)
        with_server = time_scoring(rows, home, api, repeats)
    without = time_scoring(rows, home, None, repeats)
    extra = statistics.median(f - p for f, p in zip(flow, plain, strict=True))
    return [
        Figure("retrain flow, running server", statistics.median(flow), "s", "lower"),
        Figure("the same steps as plain functions", statistics.median(plain), "s", "lower"),
        Figure("retrain flow over plain functions", extra, "s more", "lower", 3.0, 1.0),
        Figure(
            f"perennial score, {SCORED:,} rows, running server", statistics.median(with_server), "s", "lower", 5.0, 3.0
        ),
        Figure(
            f"perennial score, {SCORED:,} rows, temporary server", statistics.median(without), "s", "lower", 15.0, 8.0
        ),
    ]


def time_retraining(file: Path, data: Path, repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of the flow and of its steps, in turns, after one of each to warm up; always on new data."""
    from flows.retrain import retrain

    flow: list[float] = []
    plain: list[float] = []
    timed: tuple[tuple[Callable[[Path], object], list[float]], ...] = ((retrain, flow), (retrain_plainly, plain))
    for repeat in range(repeats + 1):
        for number, (run, seconds) in enumerate(timed[:: 1 if repeat % 2 else -1]):
            write_table(data, ROWS, 2 + 2 * repeat + number, NUMBERS)
            started = time.perf_counter()
            run(file)
            seconds.append(time.perf_counter() - started)
        print(f"retrain {repeat}: flow {flow[-1]:.2f} s, plain {plain[-1]:.2f} s", file=sys.stderr, flush=True)
    return flow[1:], plain[1:]


def retrain_plainly(file: Path) -> None:
    """The steps of the retrain flow without Prefect: no runs, no lock, no artifacts for its UI."""
    from flows.environment import state_folder
    from tasks.data.steps import ingest_data, read_model_file
    from tasks.evaluation.steps import evaluate_graph
    from tasks.export.steps import export_graph
    from tasks.registry.record import Origin
    from tasks.registry.runs import finishing
    from tasks.registry.steps import (
        apply_verdict,
        find_contest,
        find_standing,
        judge_challenger,
        open_training_run,
        register_version,
    )
    from tasks.training.job import alone, plan_job
    from tasks.training.steps import split_rows, train_network

    home = state_folder()
    settings = read_model_file.fn(file)
    data = ingest_data.fn(settings, home)
    job = plan_job(settings, data, home)
    origin = Origin.of(job)
    if find_standing.fn(job, data, origin):
        raise RuntimeError("the data is unchanged; there is nothing to measure")
    with alone(job):
        split = split_rows.fn(settings, data)
        run_id = open_training_run.fn(job, data, origin, False)
        with finishing(run_id):
            fitted = train_network.fn(job, split, run_id)
            exported = export_graph.fn(job, split, run_id)
            metrics = evaluate_graph.fn(job, data, split, fitted, exported)
            version = register_version.fn(job, exported, metrics, origin, run_id)
        job.forget()
    contest = find_contest.fn(version.model, version.number)
    verdict = judge_challenger.fn(contest, home)
    apply_verdict.fn(contest, verdict, "measured", home)


def time_scoring(rows: Path, home: Path, api: str | None, repeats: int) -> list[float]:
    """Seconds from command to exit of `perennial score`, after one time that is not counted."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PREFECT_API_URL": api} if api else {}
    seconds = []
    for repeat in range(repeats + 1):
        output = home / f"scored-{'server' if api else 'alone'}-{repeat}"
        command = [str(COMMAND), "score", "bench", "--input", str(rows), "--output", str(output), "--json"]
        started = time.perf_counter()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - started)
        print(f"score {repeat}, {api or 'temporary server'}: {seconds[-1]:.2f} s", file=sys.stderr, flush=True)
    return seconds[1:]


def _settle(home: Path, api: str) -> None:
    """Points this process, before it imports Prefect or MLflow, at the measurement's own state and server."""
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "MLFLOW_"))]:
        del os.environ[name]
    os.environ |= {
        "PERENNIAL_HOME": str(home),
        "PREFECT_API_URL": api,
    }
    from flows import environment

    environment.keep_off_screen()
    environment.prepare()


if __name__ == "__main__":
    typer.run(main)
