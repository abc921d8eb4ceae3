"""Parquet to Parquet: rows/s of a scoring run over the sum of its parts, each measured alone at the same thread count.

    make bench NAME=scoring
    .venv/bin/python -m benchmarks.scoring --rows 100000 --repeats 1   # a quick look, not an official result

The parts are: reading the same columns with pyarrow, ONNX Runtime on arrays that are ready, writing the same output
with pyarrow. The model files are as `new` writes them, but for a training of two epochs, which changes no speed; the
second one asks for a light network besides. The default network computes for so long on each row that an eighth of the
rows say the same.
"""

import shutil
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime as ort
import pyarrow.parquet as pq
import typer
from numpy.typing import NDArray

from benchmarks.measuring.reporting import Figure, report, temporary_home
from benchmarks.measuring.tables import TARGET, write_table
from benchmarks.measuring.trained import new_model_file, train
from models.columns import KINDS
from models.columns.cells import as_array
from models.contract import GRAPH_FILE
from tasks.data.batches import BATCH_ROWS
from tasks.scoring.batch import Stamp
from tasks.scoring.predictor import Predictor
from tasks.scoring.score import score_files

ROWS, REPEATS, TRAINING_ROWS = 2_000_000, 3, 6_000
SHARE = 8
"""The default network scores one row in so many."""
ORT_BATCHES = (1024, 8192, 65_536)
FEW = "[training]\nepochs = 2\n"
LIGHT = "[network]\nmembers = 1\nwidth = 64\ndepth = 1\n"


@dataclass(frozen=True)
class Seconds:
    """Medians over the repeats."""

    whole: float
    read: float
    run: float
    write: float

    @property
    def parts(self) -> float:
        """Sum of the parts."""
        return self.read + self.run + self.write


def main(
    rows: Annotated[int, typer.Option(help="Rows to score with the light network.")] = ROWS,
    repeats: Annotated[int, typer.Option(help="Repeats of each measurement, interleaved.")] = REPEATS,
) -> None:
    """Scores one file with the default and with a light network."""
    figures = []
    with temporary_home() as home:
        learnt = write_table(home / "learnt" / "rows.parquet", TRAINING_ROWS, seed=0)
        for title, extra, count in (("default network", FEW, rows // SHARE), ("light network", FEW + LIGHT, rows)):
            name = title.split()[0]
            file = new_model_file([learnt], TARGET, name, home / name, extra)
            scratch = home / name / "training"
            predictor, graph = train(file, home, scratch).predictor, scratch / "package" / GRAPH_FILE
            data = write_table(home / name / "rows.parquet", count, seed=1, labelled=False)
            found = measure(predictor, graph, data, home / name, repeats)
            figures += _figures(f"{title}, {count:,} rows", found, count, judged=name == "default")
            data.unlink()
    title = f"Parquet to Parquet, 20 numbers, 3 categories and a key, median of {repeats}"
    sys.exit(report("scoring", title, figures, official=rows >= ROWS and repeats >= REPEATS))


def measure(predictor: Predictor, graph: Path, data: Path, scratch: Path, repeats: int) -> Seconds:
    """Medians of the whole and of each part, measured in turns after one round to warm up."""
    parts = Parts(predictor, graph, data, scratch)
    timed: list[tuple[Callable[[], None], list[float]]] = [
        (step, []) for step in (parts.score, parts.read, parts.run, parts.write)
    ]
    for round_ in range(repeats + 1):
        for step, seconds in timed:
            started = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - started)
        told = ", ".join(f"{step.__name__} {seconds[-1]:.2f} s" for step, seconds in timed)
        print(f"{scratch.name}, round {round_}: {told}", file=sys.stderr, flush=True)
    return Seconds(*(statistics.median(seconds[1:]) for _, seconds in timed))


class Parts:
    """The whole and the parts of one scoring run, over the same rows."""

    def __init__(self, predictor: Predictor, graph: Path, data: Path, scratch: Path) -> None:
        self.predictor, self.data, self.output = predictor, data, scratch / "scored"
        self.score()
        self.written = pq.read_table(self.output / "predictions", read_dictionary=_texts(self.output))
        self.feed = ready_arrays(predictor, data)
        self.session = plain_session(predictor, graph)
        self.batch = min(ORT_BATCHES, key=self._time_batch)

    def score(self) -> None:
        """The platform's way."""
        shutil.rmtree(self.output, ignore_errors=True)
        score_files(self.predictor, [str(self.data)], self.output, Stamp("bench", "1", "bench"))

    def read(self) -> None:
        """All columns, batch by batch."""
        with pq.ParquetFile(self.data) as opened:
            for _ in opened.iter_batches(BATCH_ROWS):
                pass

    def run(self) -> None:
        """The graph on arrays that lie ready, in batches of the best size."""
        for start in range(0, len(next(iter(self.feed.values()))), self.batch):
            self._run_batch(start, self.batch)

    def write(self) -> None:
        """The table that scoring has written, texts as dictionaries."""
        path = self.output.with_name("written.parquet")
        pq.write_table(self.written, path, store_schema=False)
        path.unlink()

    def _run_batch(self, start: int, rows: int) -> None:
        feed = {name: values[start : start + rows] for name, values in self.feed.items()}
        self.session.run(["class_index", "probabilities"], feed)

    def _time_batch(self, rows: int) -> float:
        """Seconds a row, over a part of the rows that holds each size at least once."""
        end = min(max(ORT_BATCHES), len(next(iter(self.feed.values()))))
        started = time.perf_counter()
        for start in range(0, end, rows):
            self._run_batch(start, rows)
        return time.perf_counter() - started


def plain_session(predictor: Predictor, graph: Path) -> ort.InferenceSession:
    """ONNX Runtime as it comes, but for the number of threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = predictor.threads
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def ready_arrays(predictor: Predictor, data: Path) -> dict[str, NDArray[Any]]:
    """The graph's inputs for all rows, by the kinds' own conversion."""
    table, contract = pq.read_table(data), predictor.contract
    feed = {}
    for column in contract.columns:
        kind = KINDS[column.settings.kind]
        parsed = kind.parse(as_array(table.column(column.name)), column.settings, contract.missing)
        feed[column.name] = np.ascontiguousarray(kind.to_input(parsed.values, column.settings))
    return feed


def _texts(output: Path) -> list[str]:
    schema = pq.read_schema(next((output / "predictions").glob("*.parquet")))
    return [field.name for field in schema if str(field.type) == "string"]


def _figures(title: str, found: Seconds, rows: int, judged: bool) -> list[Figure]:
    bounds = (0.5, 1.0) if judged else (None, None)
    return [
        Figure(f"{title}: scored", rows / found.whole, "rows/s", "higher"),
        Figure(f"{title}: read alone", found.read, "s", "lower"),
        Figure(f"{title}: ONNX Runtime alone", found.run, "s", "lower"),
        Figure(f"{title}: write alone", found.write, "s", "lower"),
        Figure(f"{title}: speed over the sum of the parts", found.parts / found.whole, "ratio", "higher", *bounds),
    ]


if __name__ == "__main__":
    typer.run(main)
