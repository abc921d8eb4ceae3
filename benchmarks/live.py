"""How fast one row, and a few, are answered: over REST beside `mlflow models serve`, and from Python.

    make bench NAME=live
    .venv/bin/python -m benchmarks.live --seconds 3      # a quick look, not an official result

The version is the default network on a made-up table of 20 numbers and 3 categories, with one worker process. Load
comes from a process of its own on the same machine, which takes its share of the cores.
"""

import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import pyarrow.parquet as pq
import typer

from benchmarks.measuring.command import Command
from benchmarks.measuring.load import Load, Loaded, begin_load, put_load
from benchmarks.measuring.reporting import Figure, report, temporary_home
from benchmarks.measuring.serving import mlflow_serving, serving
from benchmarks.measuring.tables import TARGET, write_table
from benchmarks.measuring.trained import new_model_file, train

MODEL, ROWS, SECONDS, ROUNDS = "live", 4000, 8.0, 3
PATH = f"/models/{MODEL}/predict"
FEW, MANY, BATCH = 10, 100, 64
CHANGES, CHANGE_SECONDS, CHANGE_RATE = 20, 3.0, 300
CALLS, TIMES = 2000, 7
PAIRS, IN_A_ROW = 400, 25
STARTS = 3


@dataclass(frozen=True)
class Site:
    """Two registered versions and rows for them."""

    home: Path
    packages: tuple[Path, Path]
    rows: list[dict[str, Any]]

    def body(self, count: int) -> str:
        """A request of ours for the first rows."""
        return json.dumps({"rows": self.rows[:count]})

    def mlflow_body(self) -> str:
        """The same of one row, as MLflow's server wants it."""
        return json.dumps({"dataframe_records": self.rows[:1]})


def main(seconds: Annotated[float, typer.Option(help="Of each load.")] = SECONDS) -> None:
    """Measures side by side, in rounds."""
    with temporary_home() as home:
        site = _site(home)
        figures = [*_throughput(site, seconds), *_changes(site), *_starts(site), *_embedded(site)]
    title = f"single rows and rows by {BATCH}, {ROUNDS} rounds of {seconds:g} s"
    sys.exit(report("live", title, figures, official=seconds >= SECONDS))


def _site(home: Path) -> Site:
    data = write_table(home / "rows.parquet", ROWS, seed=0)
    packages = []
    for seed in (0, 1):
        folder = home / f"trained-{seed}"
        folder.mkdir()
        file = new_model_file([data], TARGET, MODEL, folder, f"[training]\nepochs = 1\nseed = {seed}\n")
        train(file, folder / "home", folder / "scratch")
        packages.append(folder / "scratch" / "package")
        Command(home).register(packages[-1], data)
    rows = pq.read_table(data).drop_columns(["key", TARGET]).to_pylist()
    return Site(home, (packages[0], packages[1]), rows)


def _throughput(site: Site, seconds: float) -> list[Figure]:
    """Ours with and without batches, and MLflow's, in turns; all three wait for requests all the time."""
    found: dict[str, list[Loaded]] = {}
    loads: dict[str, tuple[str, str, int, str]] = {
        "ours": ("batched", PATH, FEW, site.body(1)),
        "mlflow": ("mlflow", "/invocations", FEW, site.mlflow_body()),
        "many": ("batched", PATH, MANY, site.body(1)),
        "alone": ("alone", PATH, MANY, site.body(1)),
        "rows": ("batched", PATH, 4, site.body(BATCH)),
    }
    alone: list[float] = []
    with (
        serving(site.home, MODEL) as batched,
        serving(site.home, MODEL, "--batch-rows", "1") as single,
        mlflow_serving(site.home, f"models:/{MODEL}/2") as mlflow,
    ):
        ports = {"batched": batched.port, "alone": single.port, "mlflow": mlflow.port}
        for _ in range(ROUNDS):
            for name, (server, path, connections, body) in loads.items():
                found.setdefault(name, []).append(put_load(Load(ports[server], path, body, connections, seconds)))
            alone.append(_graph_rows(site))
        half = statistics.median(one.rate for one in found["ours"]) / 2
        paced = [put_load(Load(batched.port, PATH, site.body(1), FEW, seconds, half)) for _ in range(ROUNDS)]
    slowest = statistics.median(one.p99_ms for one in paced)
    rate = {name: statistics.median(one.rate for one in several) for name, several in found.items()}
    failed = sum(one.failed for several in (*found.values(), paced) for one in several)
    return [
        Figure(f"single rows, {FEW} connections", rate["ours"], "requests/s", "higher"),
        Figure("the same, mlflow models serve", rate["mlflow"], "requests/s", "higher"),
        Figure("over mlflow models serve", _ratio(found["ours"], found["mlflow"]), "ratio", "higher", 5, 15),
        Figure(f"p99 at half of it, {half:,.0f} requests/s", slowest, "ms", "lower", 5, 2),
        Figure(f"{MANY} connections", rate["many"], "requests/s", "higher"),
        Figure("over the same without batches", _ratio(found["many"], found["alone"]), "ratio", "higher", 1.5, 3),
        Figure(f"requests of {BATCH} rows", rate["rows"] * BATCH, "rows/s", "higher"),
        Figure(
            "over ONNX Runtime alone in a loop",
            statistics.median(o.rate * BATCH / a for o, a in zip(found["rows"], alone, strict=True)),
            "ratio", "higher", 0.5, 0.8,
        ),
        Figure("requests that failed", failed, "requests", "lower", 0, 0),
    ]  # fmt: skip


def _ratio(ours: Sequence[Loaded], theirs: Sequence[Loaded]) -> float:
    """Median over the rounds."""
    return statistics.median(one.rate / other.rate for one, other in zip(ours, theirs, strict=True))


def _graph_rows(site: Site) -> float:
    """Rows per second of the session alone, on ready arrays."""
    from tasks.serving.predictor import Predictor

    predictor = Predictor.load(site.packages[1])
    feed = predictor.reader.read_rows(site.rows[:BATCH])
    outputs, session = predictor.graph.outputs, predictor.graph.session
    return BATCH / _seconds(lambda: session.run(outputs, feed))


def _changes(site: Site) -> list[Figure]:
    """The champion changes under load; each answer must be the one of the version that it names."""
    from mlflow import MlflowClient

    from tasks.serving.predictor import Predictor

    expected = {
        str(number): Predictor.load(package).predict(site.rows[:1])[0]["probability"]
        for number, package in enumerate(site.packages, 1)
    }
    client = MlflowClient(f"sqlite:///{site.home}/mlflow.db")
    lasting = CHANGES * CHANGE_SECONDS + 5
    with serving(site.home, MODEL, "--poll-seconds", "0.5") as server:
        running = begin_load(Load(server.port, PATH, site.body(1), FEW, lasting, CHANGE_RATE, kept=True))
        for change in range(CHANGES):
            time.sleep(CHANGE_SECONDS)
            client.set_registered_model_alias(MODEL, "champion", str(1 + change % 2))
        loaded = running.result()
    client.set_registered_model_alias(MODEL, "champion", "2")
    answers = [json.loads(answer) for answer in loaded.answers]
    wrong = sum(abs(a["predictions"][0]["probability"] - expected[a["version"]]) > 1e-6 for a in answers)
    seen = [a["version"] for a in answers]
    changes = sum(one != other for one, other in pairwise(seen))
    return [
        Figure(f"champion changed {CHANGES} times at {CHANGE_RATE}/s: requests", loaded.requests, "requests", "higher"),
        Figure("failed", loaded.failed, "requests", "lower", 0, 0),
        Figure("answers that bear another version than made them", wrong, "answers", "lower", 0, 0),
        Figure("changes that answers show", changes, "changes", "higher", CHANGES, CHANGES),
        Figure("answers of the version that answered less", min(Counter(seen).values()), "answers", "higher"),
        Figure("p99 meanwhile", loaded.p99_ms, "ms", "lower"),
    ]


def _starts(site: Site) -> list[Figure]:
    found: dict[str, list[float]] = {"a folder": [], "an alias": []}
    for _ in range(STARTS):
        for name, place in (("a folder", str(site.packages[1])), ("an alias", f"{MODEL}@champion")):
            with serving(site.home, place) as server:
                found[name].append(server.seconds)
    return [
        Figure("start to ready, from a folder", statistics.median(found["a folder"]), "s", "lower", 2, 1),
        Figure("start to ready, from an alias", statistics.median(found["an alias"]), "s", "lower", 4, 3),
    ]


def _embedded(site: Site) -> list[Figure]:
    """`Predictor` on one row beside the bare session, in turns."""
    from tasks.serving.predictor import Predictor

    predictor = Predictor.load(site.packages[1])
    rows = site.rows[:1]
    feed = predictor.reader.read_rows(rows)
    outputs, session = predictor.graph.outputs, predictor.graph.session
    calls = (lambda: predictor.predict(rows), lambda: session.run(outputs, feed))
    for call in calls:
        _average(call)
    pairs = [[_average(call) for call in calls] for _ in range(PAIRS)]
    return [
        Figure("session.run, one row", statistics.median(bare for _, bare in pairs) * 1e6, "µs", "lower"),
        Figure(
            "Predictor, one row: more than that",
            statistics.median(ours - bare for ours, bare in pairs) * 1e6,
            "µs",
            "lower",
            30,
            10,
        ),
    ]


def _average(call: Callable[[], Any]) -> float:
    """Seconds of this thread, which works alone, for one of a few calls: what else the machine does counts for less."""
    began = time.thread_time()
    for _ in range(IN_A_ROW):
        call()
    return (time.thread_time() - began) / IN_A_ROW


def _seconds(call: Callable[[], Any]) -> float:
    """Of one call, the least of several averages."""
    best = float("inf")
    for _ in range(TIMES):
        began = time.perf_counter()
        for _ in range(CALLS // TIMES):
            call()
        best = min(best, (time.perf_counter() - began) / (CALLS // TIMES))
    return best


if __name__ == "__main__":
    typer.run(main)
