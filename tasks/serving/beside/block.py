"""Answered requests of one version together, as columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.columns.kind import LargeSettings
from tasks.scoring.cells import parse_cells
from tasks.scoring.predictor import Predictions
from tasks.scoring.rows import Row
from tasks.serving.asking import Answered, ColumnsAsked, RowsAsked
from tasks.serving.served import Served

ROW_BYTES = 1000
"""What a row of plain cells is taken to hold."""


def size_of(answered: Answered) -> int:
    """Bytes, about, that the rows of a request hold."""
    held = ROW_BYTES * len(answered.asked.rows)
    reader = answered.served.reader
    if not reader.plain:
        large = [name for name, settings in reader.columns.items() if isinstance(settings, LargeSettings)]
        for cells in answered.asked.rows.columns(large).values():
            held += sum(len(cell) for cell in cells if isinstance(cell, str | bytes))
    return held


@dataclass(frozen=True)
class Block:
    """Requests that one version has answered, with N rows in all."""

    served: Served
    requests: Sequence[Answered]

    @classmethod
    def each(cls, requests: Sequence[Answered]) -> "list[Block]":
        """A block for each version."""
        found: dict[int, list[Answered]] = {}
        for answered in requests:
            found.setdefault(id(answered.served), []).append(answered)
        return [cls(some[0].served, some) for some in found.values()]

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Rows of each request."""
        return np.array([len(answered.asked.rows) for answered in self.requests], np.int64)

    def __len__(self) -> int:
        return int(self.counts.sum())

    def cells(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """Cells [N] of each column, as they were sent."""
        found: dict[str, list[Any]] = {name: [] for name in names}
        for of_rows, some in groupby(self.requests, lambda answered: isinstance(answered.asked.rows, RowsAsked)):
            asked = [answered.asked.rows for answered in some]
            # Rows of all requests as those of one: a call for each request and column would take most of the time.
            for each in [RowsAsked([*_all_rows(asked)])] if of_rows else asked:
                for name, cells in each.columns(names).items():
                    found[name] += cells
        return found

    def taken(self, rows: NDArray[np.int64]) -> tuple[dict[str, pa.Array], Predictions]:
        """The model's columns in the types of their kinds, files decoded, and the predictions, at positions [M]."""
        columns, missing, places = self.served.reader.columns, self.served.contract.missing, rows.tolist()
        cells = self.cells([*columns])
        parsed = {
            name: parse_cells([cells[name][row] for row in places], settings, missing)
            for name, settings in columns.items()
        }
        return parsed, self.predictions.take(rows)

    def parsed(self, name: str) -> pa.Array:
        """One of the model's columns [N] in the type of its kind."""
        return parse_cells(self._cells[name], self.served.reader.columns[name], self.served.contract.missing)

    def sent(self, name: str) -> list[Any]:
        """Cells [N] of one of the model's columns, as they were sent."""
        return self._cells[name]

    @cached_property
    def _cells(self) -> dict[str, list[Any]]:
        return self.cells([*self.served.reader.columns])

    @cached_property
    def predictions(self) -> Predictions:
        """Of all rows."""
        parts = [answered.predictions for answered in self.requests]
        return Predictions(
            *(_joined([getattr(part, side) for part in parts]) for side in ("index", "probabilities", "values"))
        )

    def per_row(self, values: Sequence[Any], kind: pa.DataType) -> pa.Array:
        """One value a request, in each of its rows."""
        return pa.array(values, kind).take(pa.array(np.repeat(np.arange(len(values)), self.counts)))

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """The number of each row within its request, from 1."""
        starts = np.repeat(np.cumsum(self.counts) - self.counts, self.counts)
        return np.asarray(np.arange(len(starts)) - starts + 1)


def _all_rows(asked: Sequence[RowsAsked | ColumnsAsked]) -> Iterator[Row]:
    for each in asked:
        if isinstance(each, RowsAsked):
            yield from each.rows


def _joined(parts: list[NDArray[Any] | None]) -> Any:
    return None if parts[0] is None else np.concatenate([part for part in parts if part is not None])
