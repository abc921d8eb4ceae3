"""A second version in the same pass: what it says of the same rows, and how far it is from the first."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.data.batches import RawBatch
from tasks.data.checks import Checked, check_batch
from tasks.scoring.output import constant_column, no_predictions, output_columns
from tasks.scoring.predictor import Predictions, Predictor

ALSO = "also_"
"""Begins the names of its columns."""


@dataclass(frozen=True)
class Shadow:
    """The second version."""

    predictor: Predictor
    model: str
    version: str

    def nothing(self) -> dict[str, pa.Array]:
        """Its columns, without rows."""
        return self._columns(no_predictions(self.predictor.contract), pa.array([], pa.int32()))

    def beside(
        self, batch: RawBatch, checked: Checked, first: Predictor, predictions: Predictions
    ) -> tuple[dict[str, pa.Array], dict[str, float]]:
        """Its columns for the rows that the `first` version took, and sums over those that both took.

        `checked` and `predictions` are the first version's. A row that this version would reject has nulls.
        """
        contract = self.predictor.contract
        columns = {column.name: column.settings for column in contract.columns}
        if columns == {column.name: column.settings for column in first.contract.columns}:
            own = checked
        else:
            own = check_batch(batch, columns, contract.missing)
        others = self.predictor.predict({name: own.table.column(name).combine_chunks() for name in columns})
        place = pc.index_in(pa.array(checked.rows), value_set=pa.array(own.rows))
        return self._columns(others, place), self._compared(first, predictions, others, place)

    def _columns(self, predictions: Predictions, place: pa.Array) -> dict[str, pa.Array]:
        found = {**output_columns(predictions, self.predictor.contract)}
        found["model_version"] = constant_column(self.version, len(next(iter(found.values()))))
        return {f"{ALSO}{name}": column.take(place) for name, column in found.items()}

    def _compared(self, first: Predictor, one: Predictions, other: Predictions, place: pa.Array) -> dict[str, float]:
        """Rows that both scored, those on which they agree, and sums of how far they are apart.

        The distance of two rows of probabilities is half the sum of absolute differences (total variation), that of
        two values the absolute difference. The shift is signed: of the second class of two, or of the value.
        """
        both = np.flatnonzero(np.asarray(place.is_valid()))
        there = place.drop_null().to_numpy()
        sums = {"compared": float(len(both))}
        if one.values is not None and other.values is not None:
            apart = other.values[there].astype(np.float64) - one.values[both]
            return sums | {"shift": float(apart.sum()), "distance": float(np.abs(apart).sum())}
        classes, own = first.contract.classes, self.predictor.contract.classes
        if one.index is not None and other.index is not None:
            known = np.array([classes.index(name) if name in classes else -1 for name in own])
            sums["agree"] = float((known[other.index[there]] == one.index[both]).sum())
        if classes == own and one.probabilities is not None and other.probabilities is not None:
            sums |= _distances(one.probabilities[both], other.probabilities[there])
        return sums


def _distances(one: NDArray[np.float32], other: NDArray[np.float32]) -> Mapping[str, float]:
    apart = other.astype(np.float64) - one
    found = {"distance": float(np.abs(apart).sum() / 2)}
    return {**found, "shift": float(apart[:, 1].sum())} if apart.shape[1] == 2 else found


def shadow_means(sums: Mapping[str, float]) -> dict[str, float]:
    """Share of rows on which both agree, mean distance and mean shift, of sums over them; and their number.

    Nothing where there is no second version.
    """
    rows = sums.get("compared", 0.0)
    means = {name: sums[name] / rows for name in ("agree", "distance", "shift") if name in sums and rows}
    return {"compared": rows, **means} if "compared" in sums else {}
