"""Rows of many groups counted at once: the same cells as of `Counting`, one row of counts for each group."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.contract import Contract
from models.profile import Bins, ColumnProfile, Facet, Names, Profile, Rate
from tasks.data.rejects import hashed
from tasks.monitoring.vocabulary import Vocabulary
from tasks.monitoring.watched import Values, watched_in, watched_predictions
from tasks.scoring.predictor import Predictions

Counts = NDArray[np.int64]
NOWHERE = -1
"""The place of a missing value."""


@dataclass(frozen=True)
class _Side:
    """One facet and the cells that are its own."""

    column: str | None
    """None of the predictions."""
    name: str
    facet: Facet
    sensitive: bool
    start: int
    cells: int

    def places(self, values: Values) -> Counts:
        """The cell of each value, [N]."""
        if isinstance(self.facet, Bins):
            numbers = np.asarray(values, dtype=np.float64)
            found = np.searchsorted(np.array(self.facet.edges, dtype=np.float64), numbers, side="left")
            return np.where(np.isnan(numbers), NOWHERE, found)
        if isinstance(self.facet, Names):
            return _named(values, self.facet, self.sensitive)
        return np.asarray(values, dtype=np.int64)

    def counted(self, counts: Counts) -> Facet:
        """The facet with these counts, [cells]; what bins know beside counts is not known."""
        own = counts[self.start : self.start + self.cells].tolist()
        if isinstance(self.facet, Bins):
            return self.facet.model_copy(update={"counts": tuple(own), "low": None, "high": None, "mean": None})
        if isinstance(self.facet, Names):
            return self.facet.model_copy(update={"counts": tuple(own[:-1]), "rest": own[-1]})
        return Rate(count=own[1], rows=sum(own))


def _named(values: pa.Array, facet: Names, sensitive: bool) -> Counts:
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    names = encoded.dictionary.cast(pa.string())
    known = pa.array(map(hashed, names.to_pylist()), pa.string()) if sensitive else names
    found = pc.fill_null(pc.index_in(known, value_set=pa.array(facet.names, pa.string())), len(facet.names))
    places = pc.fill_null(found.cast(pa.int64()).take(encoded.indices), NOWHERE)
    # A null may be among the values of a dictionary as well.
    return np.where(encoded.is_null().to_numpy(zero_copy_only=False), NOWHERE, places.to_numpy(zero_copy_only=False))


class Places:
    """The cells of a version's profile, one behind the other."""

    def __init__(self, contract: Contract, frame: Profile, vocabularies: Mapping[str, Vocabulary]) -> None:
        """What `frame` itself has counted does not matter."""
        self._contract, self._frame, self._vocabularies = contract, frame, vocabularies
        self._sides = [*self._laid_out()]
        self.cells = sum(side.cells for side in self._sides)
        """How many there are."""

    def count(self, columns: Mapping[str, pa.Array], predictions: Predictions, groups: Counts, number: int) -> Counts:
        """How many rows of each group are in each cell, [number, cells].

        `columns` are parsed, [N] each, and `groups` say to which group each row belongs.
        """
        found = np.zeros((number, self.cells), dtype=np.int64)
        watched: dict[str | None, Mapping[str, Values]] = {
            column.name: watched_in(column, columns[column.name], self._vocabularies.get(column.name))
            for column in self._contract.columns
        }
        watched[None] = watched_predictions(predictions, self._contract)
        for side in self._sides:
            places = side.places(watched[side.column][side.name])
            there = places != NOWHERE
            counts = np.bincount(groups[there] * side.cells + places[there], minlength=number * side.cells)
            found[:, side.start : side.start + side.cells] = counts.reshape(number, side.cells)
        return found

    def profile(self, counts: Counts, rows: int, rejected: Rate) -> Profile:
        """The profile of one group, of its counts [cells]."""
        facets = {(side.column, side.name): side.counted(counts) for side in self._sides}

        def filled(name: str | None, frame: ColumnProfile) -> ColumnProfile:
            return frame.model_copy(update={"facets": {facet: facets[name, facet] for facet in frame.facets}})

        columns = {name: filled(name, column) for name, column in self._frame.columns.items()}
        predictions = filled(None, self._frame.predictions)
        changed = {"rows": rows, "rejected": rejected, "columns": columns, "predictions": predictions}
        return self._frame.model_copy(update=changed)

    def _laid_out(self) -> Iterator[_Side]:
        start = 0
        profiles: list[tuple[str | None, ColumnProfile]] = [
            *self._frame.columns.items(),
            (None, self._frame.predictions),
        ]
        for column, profile in profiles:
            for name, facet in profile.facets.items():
                cells = 2 if isinstance(facet, Rate) else len(facet.cells)
                yield _Side(column, name, facet, column in self._contract.sensitive, start, cells)
                start += cells
