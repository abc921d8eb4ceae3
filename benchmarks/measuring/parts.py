"""The whole and the parts of one scoring run, over the same rows."""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.columns import KINDS
from models.columns.cells import as_array
from tasks.data.batches import BATCH_ROWS
from tasks.scoring.batch import Stamp
from tasks.scoring.predictor import Predictor
from tasks.scoring.score import score_files

ORT_BATCHES = (1024, 8192, 65_536)


class Parts:
    """Each is a function without arguments."""

    def __init__(self, predictor: Predictor, graph: Path, data: Path, scratch: Path) -> None:
        self.data, self.threads = data, predictor.threads
        self.output = scratch / "scored"
        self.score = self.scoring(predictor, str(data), str(self.output))
        self.score()
        files = (self.output / "predictions").glob("*.parquet")
        texts = [f.name for f in pq.read_schema(next(files)) if str(f.type) == "string"]
        self.written = pq.read_table(self.output / "predictions", read_dictionary=texts)
        self.feed = ready_arrays(predictor, data)
        self.session = _session(graph, predictor.threads)
        self._single = _session(graph, 1)
        together = [partial(self._run_each, rows) for rows in ORT_BATCHES]
        apart = [partial(self._run_apart, rows) for rows in ORT_BATCHES]
        # Whichever way of using the threads is faster.
        self._best = min((*together, *apart), key=self._time)

    @property
    def ways(self) -> Mapping[str, Callable[[], None]]:
        """The whole and its parts by name."""
        return {
            "scored": self.score,
            "read alone": self.read,
            "ONNX Runtime alone": self.run,
            "write alone": self.write,
        }

    @staticmethod
    def scoring(predictor: Predictor, data: str, output: str) -> Callable[[], None]:
        """The platform's way; what stands at `output` is replaced."""

        def score() -> None:
            place = output if "://" in output else Path(output)
            score_files(predictor, [data], place, Stamp("bench", "1", "bench"), overwrite=True)

        return score

    def read(self) -> None:
        """All columns, batch by batch."""
        with pq.ParquetFile(self.data) as opened:
            for _ in opened.iter_batches(BATCH_ROWS):
                pass

    def run(self) -> None:
        """The graph on arrays that lie ready."""
        self._best(self.feed)

    def write(self) -> None:
        """The table that scoring has written, texts as dictionaries."""
        path = self.data.with_name("written.parquet")
        pq.write_table(self.written, path, store_schema=False)
        path.unlink()

    def _run_each(self, rows: int, feed: Mapping[str, NDArray[Any]]) -> None:
        for batch in _batches(feed, rows):
            self.session.run(["class_index", "probabilities"], batch)

    def _run_apart(self, rows: int, feed: Mapping[str, NDArray[Any]]) -> None:
        with ThreadPoolExecutor(self.threads) as pool:
            for _ in pool.map(partial(self._single.run, ["class_index", "probabilities"]), _batches(feed, rows)):
                pass

    def _time(self, way: Callable[[Mapping[str, NDArray[Any]]], None]) -> float:
        """Seconds for a part of the rows that holds each size of a batch at least once a thread."""
        few = {name: values[: max(ORT_BATCHES) * self.threads] for name, values in self.feed.items()}
        started = time.perf_counter()
        way(few)
        return time.perf_counter() - started


def _batches(feed: Mapping[str, NDArray[Any]], rows: int) -> Iterable[dict[str, NDArray[Any]]]:
    for start in range(0, len(next(iter(feed.values()))), rows):
        yield {name: values[start : start + rows] for name, values in feed.items()}


def _session(graph: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
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
