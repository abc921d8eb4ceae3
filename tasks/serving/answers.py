"""Predictions as callers get them."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from models.contract import Contract
from tasks.scoring.predictor import Predictions

Answer = dict[str, Any]
"""`label`, its `probability` and the `probabilities` by class, or `value`."""


class Answers:
    """Words the predictions of one contract."""

    def __init__(self, contract: Contract) -> None:
        self._classes = contract.classes
        self._names = tuple(map(str, contract.classes))

    def first(self, outputs: Sequence[NDArray[Any]]) -> Answer:
        """That to the first row of the graph's outputs."""
        if not self._names:
            return {"value": outputs[0].item(0)}
        label, shares = outputs[0].item(0), outputs[1][0].tolist()
        return {
            "label": self._classes[label],
            "probability": shares[label],
            "probabilities": dict(zip(self._names, shares, strict=True)),
        }

    def of(self, predictions: Predictions) -> list[Answer]:
        """One answer a row."""
        if predictions.index is None or predictions.probabilities is None:
            return [{"value": value} for value in predictions.values.tolist()] if predictions.values is not None else []
        classes, names = self._classes, self._names
        return [
            {"label": classes[label], "probability": row[label], "probabilities": dict(zip(names, row, strict=True))}
            for label, row in zip(predictions.index.tolist(), predictions.probabilities.tolist(), strict=True)
        ]
