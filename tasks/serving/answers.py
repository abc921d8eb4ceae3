"""Predictions as callers get them."""

from typing import Any

from models.contract import Contract
from tasks.scoring.predictor import Predictions

Answer = dict[str, Any]
"""`label`, its `probability` and the `probabilities` by class, or `value`."""


class Answers:
    """Words the predictions of one contract."""

    def __init__(self, contract: Contract) -> None:
        self._classes = contract.classes
        self._names = tuple(map(str, contract.classes))

    def of(self, predictions: Predictions) -> list[Answer]:
        """One answer a row."""
        if predictions.index is None or predictions.probabilities is None:
            return [{"value": value} for value in predictions.values.tolist()] if predictions.values is not None else []
        classes, names = self._classes, self._names
        return [
            {"label": classes[label], "probability": row[label], "probabilities": dict(zip(names, row, strict=True))}
            for label, row in zip(predictions.index.tolist(), predictions.probabilities.tolist(), strict=True)
        ]
