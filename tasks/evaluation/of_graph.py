"""What a graph says about rows whose truth is known."""

import numpy as np
import pyarrow as pa

from models.classes import Classes, find_classes
from models.columns import KINDS
from models.columns.cells import as_array
from models.errors import InputError
from tasks.evaluation.scored import Floats, Scored
from tasks.scoring.predictor import Predictions, Predictor


def score_rows(predictor: Predictor, rows: pa.Table, classes: Classes | None = None) -> Scored:
    """Predictions and truth for rows of a snapshot, with weights where the contract names a column of them.

    `classes` is the order in which to express them, the graph's own by default: two versions that don't know the same
    classes are compared in one order. Raises InputError for a true class that is not among them.
    """
    contract = predictor.contract
    parsed = {
        column.name: KINDS[column.settings.kind]
        .parse(rows.column(column.name), column.settings, contract.missing)
        .values
        for column in contract.columns
    }
    predictions = predictor.predict(parsed)
    weight = as_array(rows.column(contract.weight)).to_numpy(zero_copy_only=False) if contract.weight else None
    target = as_array(rows.column(contract.target))
    if predictions.values is not None:
        truth = target.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return Scored("regression", truth, values=predictions.values.astype(np.float64), weight=weight)
    order = classes or contract.classes
    truth = find_classes(target, order)
    if len(truth) and truth.min() < 0:
        raise InputError(
            f"{contract.name}: the class {target[int(truth.argmin())].as_py()!r} is unknown to the version"
        )
    labels, probabilities = _express(predictions, contract.classes, order)
    return Scored(contract.task, truth, labels=labels, probabilities=probabilities, weight=weight)


def _express(predictions: Predictions, own: Classes, order: Classes) -> tuple[np.ndarray, Floats]:
    """Labels and probabilities in another order of classes; classes that the graph doesn't know get 0."""
    if predictions.index is None or predictions.probabilities is None:
        raise InputError("the version returns no classes")
    position = {name: index for index, name in enumerate(order)}
    place = np.array([position.get(name, -1) for name in own])
    if place.min() < 0:
        raise InputError(f"the class {own[int(place.argmin())]!r} of one version is unknown to the other")
    probabilities = np.zeros((len(predictions.index), len(order)))
    probabilities[:, place] = predictions.probabilities
    return place[predictions.index], probabilities
