"""A loaded version: the graph behind its contract, its hash checked, ready to score Arrow tables."""

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.columns import KINDS
from models.contract import GRAPH_FILE, Contract, output_names, read_contract
from models.cores import usable_cores
from models.errors import InputError
from tasks.scoring.execution import Execution, start_session
from tasks.scoring.lookups import Lookup, without_lookups
from tasks.scoring.repeated import different_rows, may_repeat

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Rows = slice | NDArray[np.int64]
BATCH = 1024
"""Rows that one thread scores at once: what a layer hands to the next still lies in the processor's cache."""
NARROW = frozenset(("number", "category", "boolean", "datetime"))
"""Kinds whose rows are all alike in size: one number or one short text."""
BATCH_ELEMENTS = 1 << 17
"""Numbers, bytes or characters that one thread scores at once, where rows are large."""


@dataclass(frozen=True)
class Predictions:
    """What the graph returns for N rows."""

    index: NDArray[np.int64] | None
    """[N] positions of the labels among the contract's classes; None for a regression."""
    probabilities: NDArray[np.float32] | None
    """[N, K] in the order of the contract's classes; None for a regression."""
    values: NDArray[np.float32] | None
    """[N] for a regression; None for classes."""

    @classmethod
    def of_no_rows(cls, contract: Contract) -> "Predictions":
        """Those of no rows."""
        if contract.task == "regression":
            return cls(None, None, np.empty(0, dtype=np.float32))
        return cls(np.empty(0, dtype=np.int64), np.empty((0, len(contract.classes)), dtype=np.float32), None)

    def part(self, rows: slice) -> "Predictions":
        """Some of them."""
        return Predictions(
            None if self.index is None else self.index[rows],
            None if self.probabilities is None else self.probabilities[rows],
            None if self.values is None else self.values[rows],
        )

    def take(self, rows: NDArray[np.int64]) -> "Predictions":
        """Those at positions [M]."""
        return Predictions(
            None if self.index is None else self.index[rows],
            None if self.probabilities is None else self.probabilities[rows],
            None if self.values is None else self.values[rows],
        )


class Predictor:
    """Scores parsed columns with ONNX Runtime; holds no state between calls, so threads may share it."""

    def __init__(
        self, graph: bytes, contract: Contract, threads: int | None = None, execution: Execution | None = None
    ) -> None:
        """`threads` are those of the execution if not given. Raises ProviderError where its provider is not there."""
        self.contract = contract
        self.execution = execution or Execution()
        self.threads = threads or self.execution.threads or usable_cores()
        self.batch_rows = self.execution.batch_rows or BATCH
        self.session = start_session(graph, self.execution)
        self._graph = graph
        self.size_mb = len(graph) / 1e6
        """Of the graph, in millions of bytes."""
        names = output_names((column.name for column in contract.columns), contract.task != "regression")
        # The class index stands for the label: strings would cost one Python object a row.
        self.outputs = [names[2], names[1]] if len(names) > 1 else [names[0]]
        self._narrow = all(c.settings.kind in NARROW for c in contract.columns)

    @classmethod
    def load(
        cls,
        folder: Path,
        expected_sha256: str | None = None,
        threads: int | None = None,
        execution: Execution | None = None,
    ) -> "Predictor":
        """The version in `folder`; raises InputError when graph, contract and the registered hash disagree."""
        contract = read_contract(folder)
        path = folder / GRAPH_FILE
        try:
            graph = path.read_bytes()
        except FileNotFoundError:
            raise InputError(f"{path}: the graph is missing") from None
        check_graph(path, graph, expected_sha256 or contract.graph_sha256)
        if expected_sha256 and expected_sha256 != contract.graph_sha256:
            named = f"{contract.graph_sha256[:12]} instead of {expected_sha256[:12]}"
            raise InputError(f"{folder}: the contract names another graph than the registry, SHA-256 {named}")
        return cls(graph, contract, threads, execution)

    def __reduce__(self) -> tuple[Any, ...]:
        """Goes to another process as its graph: sessions are started there."""
        given = self._graph, self.contract, self.threads, self.execution
        return Predictor, given, {"batch_rows": self.batch_rows}

    def predict(self, columns: Mapping[str, pa.Array]) -> Predictions:
        """Predictions for columns that `parse` of their kinds has accepted, each [N]."""
        if len(next(iter(columns.values()))) <= BATCH:
            return self._predict(columns, self.session, {})
        found = different_rows(columns) if may_repeat({c.settings.kind for c in self.contract.columns}) else None
        if found is None:
            return self.predict_each(columns)
        first, codes = found
        return self.predict_each({name: values.take(first) for name, values in columns.items()}).take(codes)

    def predict_each(self, columns: Mapping[str, pa.Array]) -> Predictions:
        """As `predict`, without a look for rows that are equal."""
        return self._predict(columns, *self._behind_lookups)

    def _predict(
        self, columns: Mapping[str, pa.Array], session: "InferenceSession", lookups: Mapping[str, Lookup]
    ) -> Predictions:
        feed = {
            column.name: lookups[column.name](columns[column.name])
            if column.name in lookups
            else KINDS[column.settings.kind].to_input(columns[column.name], column.settings)
            for column in self.contract.columns
        }
        return self._run(session, feed, {name: lookup.feeds for name, lookup in lookups.items()})

    def run(self, feed: Mapping[str, NDArray[Any]]) -> Predictions:
        """Predictions for graph inputs, each [N, ...]; the number of threads makes no difference to them."""
        if self._narrow and 0 < len(next(iter(feed.values()))) <= self.batch_rows:
            return self._as_predictions(self.session.run(self.outputs, feed))
        return self._run(self.session, feed, {})

    @cached_property
    def _behind_lookups(self) -> "tuple[InferenceSession, Mapping[str, Lookup]]":
        """What computes the same from codes: strings cost one Python object a row."""
        categories = [column.name for column in self.contract.columns if column.settings.kind == "category"]
        graph, lookups = without_lookups(self._graph, categories) if categories else (self._graph, {})
        return (start_session(graph, self.execution) if lookups else self.session), lookups

    def _run(
        self, session: "InferenceSession", feed: Mapping[str, NDArray[Any]], renamed: Mapping[str, str]
    ) -> Predictions:
        """`renamed` are the columns that the session's graph calls otherwise."""
        if not len(next(iter(feed.values()))):
            # Graphs that were made elsewhere need not bear it.
            return Predictions.of_no_rows(self.contract)
        batches, order = self._batches(feed)

        def run_batch(rows: Rows) -> list[NDArray[Any]]:
            batch = {renamed.get(name, name): values[rows] for name, values in feed.items()}
            return session.run(self.outputs, batch)  # type: ignore[no-any-return]

        if len(batches) == 1:
            parts = [run_batch(batches[0])]
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                parts = list(pool.map(run_batch, batches))
        outputs = parts[0] if len(parts) == 1 else [np.concatenate(part) for part in zip(*parts, strict=True)]
        if order is not None:
            back = np.argsort(order)
            outputs = [output[back] for output in outputs]
        return self._as_predictions(outputs)

    def _as_predictions(self, outputs: "list[NDArray[Any]]") -> Predictions:
        if self.contract.task == "regression":
            return Predictions(None, None, outputs[0])
        return Predictions(outputs[0], outputs[1], None)

    def _batches(self, feed: Mapping[str, NDArray[Any]]) -> "tuple[list[Rows], NDArray[np.int64] | None]":
        """What is scored together: neighbours where all rows have one size, else rows of similar sizes in an order."""
        count = len(next(iter(feed.values())))
        sizes = np.asarray(sum(KINDS[c.settings.kind].sizes(feed[c.name]) for c in self.contract.columns))
        if not count or sizes.min() == sizes.max():
            # A batch that was measured is taken as it is.
            measured = self.batch_rows == self.execution.batch_rows
            most = self.batch_rows if measured else max(1, BATCH_ELEMENTS // int(sizes.max(initial=1)))
            rows = min(self.batch_rows, most)
            return [slice(start, start + rows) for start in range(0, max(count, 1), rows)], None
        order = np.argsort(sizes, kind="stable")
        return list(_of_similar_size(order, sizes[order], self.batch_rows)), order


def _of_similar_size(order: NDArray[np.int64], sizes: NDArray[np.int64], most: int) -> Iterator[NDArray[np.int64]]:
    """The rows in `order` cut so that a batch, all of its rows as large as the last, has a bounded size."""
    start = 0
    while start < len(order):
        end = min(start + most, len(order))
        area = sizes[start:end] * np.arange(1, end - start + 1)
        end = start + max(1, int(np.searchsorted(area, BATCH_ELEMENTS, side="right")))
        yield order[start:end]
        start = end


def check_graph(path: Path, graph: bytes, expected_sha256: str) -> None:
    """Raises InputError when the graph's SHA-256 is not the one on record."""
    found = hashlib.sha256(graph).hexdigest()
    if found != expected_sha256:
        raise InputError(
            f"{path}: SHA-256 {found[:12]} is not {expected_sha256[:12]}, which was registered; "
            "the file was changed or damaged, restore it or train again"
        )
