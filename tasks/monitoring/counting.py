"""Profiles in the making: rows are counted batch after batch in cells that are known before."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.contract import Contract
from models.profile import Bins, ColumnProfile, Facet, Names, Profile, Rate
from tasks.data.rejects import hashed
from tasks.monitoring.frames import Floats
from tasks.monitoring.vocabulary import Vocabulary
from tasks.monitoring.watched import Values, watched_in, watched_predictions
from tasks.scoring.predictor import Predictions


class Cells(Protocol):
    """Counts of one facet."""

    def add(self, values: Values) -> None:
        """Counts values of the facet's own type."""

    def counted(self) -> Facet:
        """The facet with what was counted."""


class BinCells:
    """Numbers between edges."""

    def __init__(self, frame: Bins) -> None:
        self.frame, self.edges = frame, np.array(frame.edges, dtype=np.float64)
        self.counts = np.zeros(len(frame.counts), dtype=np.int64)
        self.low, self.high, self.sum = np.inf, -np.inf, 0.0

    def add(self, values: Values) -> None:
        """Counts numbers [N]; NaN is none."""
        numbers: Floats = np.asarray(values, dtype=np.float64)
        known = numbers[~np.isnan(numbers)]
        places = np.searchsorted(self.edges, known, side="left")
        self.counts += np.bincount(places, minlength=len(self.counts))
        self.low, self.high = min(self.low, known.min(initial=np.inf)), max(self.high, known.max(initial=-np.inf))
        self.sum += float(known.sum())

    def counted(self) -> Bins:
        """The bins."""
        count = int(self.counts.sum())
        told = {"low": float(self.low), "high": float(self.high), "mean": self.sum / count} if count else {}
        return self.frame.model_copy(update={"counts": tuple(self.counts.tolist()), **told})


class NameCells:
    """Names, by themselves or by their hashes."""

    def __init__(self, frame: Names, sensitive: bool) -> None:
        self.frame, self.names, self.sensitive = frame, pa.array(frame.names, pa.string()), sensitive
        self.counts = np.zeros(len(frame.names) + 1, dtype=np.int64)

    def add(self, values: pa.Array) -> None:
        """Counts strings, or a dictionary of them; null is none."""
        counted = pc.value_counts(values.drop_null())
        names, counts = counted.field("values").cast(pa.string()), counted.field("counts").to_numpy()
        known = pa.array(map(hashed, names.to_pylist()), pa.string()) if self.sensitive else names
        places = pc.fill_null(pc.index_in(known, value_set=self.names), len(self.names)).to_numpy()
        np.add.at(self.counts, places, counts)

    def counted(self) -> Names:
        """The names."""
        *counts, rest = self.counts.tolist()
        return self.frame.model_copy(update={"counts": tuple(counts), "rest": rest})


class RateCells:
    """Rows that something holds for."""

    def __init__(self) -> None:
        self.count = self.rows = 0

    def add(self, values: Values) -> None:
        """Counts rows by a mask [N]."""
        self.count, self.rows = self.count + int(np.count_nonzero(values)), self.rows + len(values)

    def counted(self) -> Rate:
        """The rate."""
        return Rate(count=self.count, rows=self.rows)


class Counting:
    """Counts the rows of a version's columns, and its predictions, in the cells of a profile."""

    def __init__(self, contract: Contract, frame: Profile, vocabularies: Mapping[str, Vocabulary]) -> None:
        """What `frame` itself has counted does not matter."""
        self.contract, self.frame, self.vocabularies = contract, frame, vocabularies
        self.rows = 0
        self._columns = {
            column.name: _cells(frame.columns[column.name], column.settings.sensitive) for column in contract.columns
        }
        self._predictions = _cells(frame.predictions, sensitive=False)

    def add(self, columns: Mapping[str, pa.Array], predictions: Predictions) -> None:
        """Counts parsed columns and what is predicted for them."""
        self.add_columns(columns)
        self.add_predictions(predictions)

    def add_columns(self, columns: Mapping[str, pa.Array]) -> None:
        """Counts parsed columns, each [N]."""
        for column in self.contract.columns:
            values = watched_in(column, columns[column.name], self.vocabularies.get(column.name))
            _add(self._columns[column.name], values)
        self.rows += len(next(iter(columns.values())))

    def add_predictions(self, predictions: Predictions) -> None:
        """Counts predictions."""
        _add(self._predictions, watched_predictions(predictions, self.contract))

    def profile(self, rejected: Rate) -> Profile:
        """What was counted."""
        return self.frame.model_copy(
            update={
                "rows": self.rows,
                "rejected": rejected,
                "columns": {name: _counted(self.frame.columns[name], cells) for name, cells in self._columns.items()},
                "predictions": _counted(self.frame.predictions, self._predictions),
            }
        )


def _cells(frame: ColumnProfile, sensitive: bool) -> dict[str, Cells]:
    return {name: _cells_of(facet, sensitive) for name, facet in frame.facets.items()}


def _cells_of(facet: Facet, sensitive: bool) -> Cells:
    if isinstance(facet, Bins):
        return BinCells(facet)
    return NameCells(facet, sensitive) if isinstance(facet, Names) else RateCells()


def _add(cells: Mapping[str, Cells], values: Mapping[str, Values]) -> None:
    for name, each in cells.items():
        each.add(values[name])


def _counted(frame: ColumnProfile, cells: Mapping[str, Cells]) -> ColumnProfile:
    return frame.model_copy(update={"facets": {name: each.counted() for name, each in cells.items()}})
