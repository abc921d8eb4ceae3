"""Parquet to Parquet: rows/s of a scoring run over the sum of its parts and over what people write by hand.

    make bench NAME=scoring
    .venv/bin/python -m benchmarks.scoring --rows 100000 --repeats 1   # a quick look, not an official result

All ways are measured in turns, at the same thread count. The parts are: reading the same columns with pyarrow, ONNX
Runtime on arrays that are ready, writing the same output with pyarrow. The judged network is so light that what the
platform adds shows. The default network computes for so long on each row that an eighth of the rows say the same; it
and the one for texts are as `new` writes them, but for a training of two epochs, which changes no speed.
"""

import importlib.util
import os
import shutil
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
import typer

from benchmarks.measuring import object_store, victim
from benchmarks.measuring.bench import KEY
from benchmarks.measuring.copies import Copies
from benchmarks.measuring.light import export_light
from benchmarks.measuring.parts import Parts
from benchmarks.measuring.peak import peak_of
from benchmarks.measuring.postgres import postgres_server
from benchmarks.measuring.reporting import Figure, report, temporary_home
from benchmarks.measuring.tables import TARGET, write_table, write_texts
from benchmarks.measuring.trained import new_model_file, train
from benchmarks.references import pandas_model, plain_loop, ray_data
from models.contract import GRAPH_FILE
from tasks.scoring.predictor import Predictor

ROWS, REPEATS, TRAINING_ROWS, MORE = 2_000_000, 3, 6_000, 10
"""The peak of memory is compared with that of so many times the rows."""
SHARE, TEXT_SHARE, TABLE_SHARE = 8, 4, 4
"""The default network scores one row in so many; there is a text, and a row in PostgreSQL, for one in so many."""
FEW = "[training]\nepochs = 2\n"
BOUNDS = {
    "the sum of its parts": (0.75, 1.1),
    "a PythonModel in a pandas loop": (3.0, 6.0),
    "Ray Data map_batches": (8.0, 15.0),
    "a plain loop with strings": (1.5, 2.5),
}
TABLE_BOUNDS = (0.4, 0.7)
GIGABYTE = 1e9


def main(
    rows: Annotated[int, typer.Option(help="Rows to score with the light network.")] = ROWS,
    repeats: Annotated[int, typer.Option(help="Repeats of each measurement, interleaved.")] = REPEATS,
    memory: Annotated[bool, typer.Option(help=f"Also score {MORE} times the rows, for the peak of memory.")] = True,
) -> None:
    """Scores a table with a light and with the default network, and short texts."""
    with temporary_home() as home:
        learnt = write_table(home / "learnt" / "rows.parquet", TRAINING_ROWS, seed=0)
        package = home / "light" / "package"
        predictor = export_light(pq.read_table(learnt), package)
        data = write_table(home / "light" / "rows.parquet", rows, seed=1, labelled=False)
        figures = measure_light(predictor, package / GRAPH_FILE, data, rows, repeats)
        figures += measure_store(predictor, data, home, rows, repeats)
        figures += measure_tables(predictor, home, rows // TABLE_SHARE, repeats)
        figures += measure_default(learnt, home, rows // SHARE, repeats)
        figures += measure_texts(home, rows // TEXT_SHARE, repeats)
        figures += measure_memory(package, data, rows, repeats) if memory else []
    title = f"Parquet to Parquet, 20 numbers, 3 categories and a key, median of {repeats}"
    sys.exit(report("scoring", title, figures, official=rows >= ROWS and repeats >= REPEATS and memory))


def measure_light(predictor: Predictor, graph: Path, data: Path, rows: int, repeats: int) -> list[Figure]:
    """The platform's way, its parts and every reference, in turns."""
    scratch, parts = data.parent, Parts(predictor, graph, data, data.parent)
    outputs = {"scored": parts.output, "Ray Data map_batches": scratch / "by_ray"}
    model = pandas_model.load(graph, predictor.threads, scratch / "pyfunc")
    ways: dict[str, Callable[[], None]] = {
        "scored": parts.score,
        "read alone": parts.read,
        "ONNX Runtime alone": parts.run,
        "write alone": parts.write,
        "a PythonModel in a pandas loop": lambda: pandas_model.score(model, data, scratch / "by_pandas.parquet"),
        "a plain loop with strings": lambda: plain_loop.score(parts.session, data, scratch / "by_loop.parquet"),
    }
    with ExitStack() as stack:
        if importlib.util.find_spec("ray"):
            stack.enter_context(ray_data.started(predictor.threads))
            ways["Ray Data map_batches"] = lambda: ray_data.score(graph, data, scratch / "by_ray", predictor.threads)
        else:
            print("Ray is not installed: left out; make with the ray extra to measure it", file=sys.stderr)
        found = timed("light", ways, repeats, clearing(outputs))
        return _figures(f"light network, {rows:,} rows", found, rows, judged=True)


def measure_default(learnt: Path, home: Path, rows: int, repeats: int) -> list[Figure]:
    """The default network over its parts, which is told and not judged."""
    folder = home / "default"
    file = new_model_file([learnt], TARGET, "default", folder, FEW)
    predictor = train(file, home, folder / "training").predictor
    data = write_table(folder / "rows.parquet", rows, seed=1, labelled=False)
    parts = Parts(predictor, folder / "training" / "package" / GRAPH_FILE, data, folder)
    found = timed("default", parts.ways, repeats, clearing({"scored": parts.output}))
    return _figures(f"default network, {rows:,} rows", found, rows, judged=False)


def measure_texts(home: Path, rows: int, repeats: int) -> list[Figure]:
    """Short texts over their parts."""
    folder = home / "texts"
    learnt = write_texts(folder / "learnt.parquet", TRAINING_ROWS, seed=0)
    file = new_model_file([learnt], TARGET, "texts", folder, FEW)
    predictor = train(file, home, folder / "training").predictor
    data = write_texts(folder / "rows.parquet", rows, seed=1, labelled=False)
    parts = Parts(predictor, folder / "training" / "package" / GRAPH_FILE, data, folder)
    found = timed("texts", parts.ways, repeats, clearing({"scored": parts.output}))
    return _figures(f"short texts, {rows:,} rows", found, rows, judged=True)


def measure_store(predictor: Predictor, data: Path, home: Path, rows: int, repeats: int) -> list[Figure]:
    """From and to an object store over from and to the local disk, and over moving the bytes there and back alone.

    The store's own work, on the same cores, is in it; moving alone tells how much of it there is, and the processor
    time of this process what scoring takes where the store is another machine.
    """
    with object_store.running_store() as port:
        object_store.upload(data, port, "rows.parquet")
        there = object_store.uri(port, "rows.parquet")
        spent: defaultdict[str, float] = defaultdict(float)
        ways = {
            "disk": metered(Parts.scoring(predictor, str(data), str(home / "scored")), "disk", spent),
            "store": metered(Parts.scoring(predictor, there, object_store.uri(port, "scored")), "store", spent),
            "moved": lambda: object_store.move(there, home / "scored" / "predictions", port),
        }
        found = timed("store", ways, repeats, clearing({"disk": home / "scored"}))
    title = f"from and to S3, {rows:,} rows"
    return [
        Figure(title, rows / found["store"], "rows/s", "higher"),
        Figure(f"{title}: its bytes moved alone", found["moved"], "s", "lower"),
        Figure("from and to S3: speed over moving its bytes alone", found["moved"] / found["store"], "ratio", "higher"),
        Figure("from and to S3: processor time on the disk over it", spent["disk"] / spent["store"], "ratio", "higher"),
        Figure("from and to S3: speed over the local disk", found["disk"] / found["store"], "ratio", "higher", 0.7),
    ]


def measure_tables(predictor: Predictor, home: Path, rows: int, repeats: int) -> list[Figure]:
    """From one table of PostgreSQL to another over copying the same columns out and in, whichever way is faster."""
    data = write_table(home / "tables" / "rows.parquet", rows, seed=1, labelled=False)
    try:
        with postgres_server() as server:
            copies = Copies(server, data, lambda uri, to: victim.score(predictor, uri, to, None, KEY, overwrite=True))
            found = timed("tables", copies.ways, repeats, lambda _: copies.prepare())
    except FileNotFoundError as error:
        print(f"{error}: left out", file=sys.stderr)
        return []
    alone = {way: min(found[name] for name in names) for way, names in copies.alone.items()}
    title, speed = f"from and to PostgreSQL, {rows:,} rows", sum(alone.values()) / found["scored"]
    return [
        Figure(title, rows / found["scored"], "rows/s", "higher"),
        *(Figure(f"{title}: {way} alone", seconds, "s", "lower") for way, seconds in alone.items()),
        Figure("from and to PostgreSQL: speed over COPY out and in alone", speed, "ratio", "higher", *TABLE_BOUNDS),
    ]


def measure_memory(package: Path, data: Path, rows: int, repeats: int) -> list[Figure]:
    """Peaks of processes that score the rows, and many times as many: medians, as chance has its part in short runs."""
    more = write_table(data.with_name("more.parquet"), MORE * rows, seed=2, labelled=False)
    less, most = (
        statistics.median(peak_of(package, path, data.with_name("peak")) for _ in range(repeats))
        for path in (data, more)
    )
    return [
        Figure(f"peak memory, {rows:,} rows", less / GIGABYTE, "GB", "lower"),
        Figure(f"peak memory, {MORE * rows:,} rows", most / GIGABYTE, "GB", "lower", 1.0),
        Figure(f"peak memory of {MORE} times the rows", most / less, "ratio", "lower", 1.1),
    ]


def metered(way: Callable[[], None], name: str, spent: MutableMapping[str, float]) -> Callable[[], None]:
    """The way, which adds the seconds of processor time of this process to those `spent`."""

    def run() -> None:
        started = time.process_time()
        way()
        spent[name] += time.process_time() - started

    return run


def clearing(outputs: Mapping[str, Path]) -> Callable[[str], None]:
    """Takes away what a way has written before it is measured again."""

    def clear(way: str) -> None:
        if way in outputs:
            shutil.rmtree(outputs[way], ignore_errors=True)

    return clear


def timed(
    what: str, ways: Mapping[str, Callable[[], None]], repeats: int, prepare: Callable[[str], None]
) -> dict[str, float]:
    """Median seconds of each way, measured in turns after one round to warm up; `prepare` gets its name before it.

    The disk has taken what was written before, which else would still go on beside the next one.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(repeats + 1):
        for name, way in ways.items():
            prepare(name)
            os.sync()
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
        told = ", ".join(f"{name} {each[-1]:.2f} s" for name, each in seconds.items())
        print(f"{what}, round {round_}: {told}", file=sys.stderr, flush=True)
    return {name: statistics.median(each[1:]) for name, each in seconds.items()}


def _figures(title: str, found: Mapping[str, float], rows: int, judged: bool) -> list[Figure]:
    alone = ("read alone", "ONNX Runtime alone", "write alone")
    compared = {"the sum of its parts": sum(found[name] for name in alone)}
    compared |= {name: seconds for name, seconds in found.items() if name in BOUNDS}
    return [
        Figure(f"{title}: scored", rows / found["scored"], "rows/s", "higher"),
        *(Figure(f"{title}: {name}", found[name], "s", "lower") for name in alone),
        *(
            Figure(
                f"{title}: speed over {name}", seconds / found["scored"], "ratio", "higher",
                *(BOUNDS[name] if judged else (None, None)),
            )
            for name, seconds in compared.items()
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
