"""What a graph says about rows whose truth is known."""

import numpy as np
import pyarrow as pa

from models.classes import Classes, find_classes
from models.columns import KINDS
from models.columns.cells import as_array
from models.contract import Contract, ContractColumn
from models.errors import InputError
from tasks.evaluation.scored import Floats, Scored
from tasks.scoring.predictor import Predictions, Predictor


def score_rows(predictor: Predictor, rows: pa.Table, judged_by: Contract | None = None) -> Scored:
    """Predictions and truth for rows of a snapshot, with weights where the contract names a column of them.

    `judged_by` says what is the target, the weight and the order of the classes, by default the graph's own contract:
    two versions are compared by one of them. Raises InputError for classes that it doesn't know, and other tasks.
    """
    contract = predictor.contract
    judge = judged_by or contract
    if judge.task != contract.task:
        raise InputError(f"one version is a {contract.task} model, the other a {judge.task} model")
    return scored_of(predictor.predict(parsed_columns(rows, contract)), rows, contract, judge)


def parsed_columns(rows: pa.Table, contract: Contract) -> dict[str, pa.Array]:
    """The columns of the contract as the version reads them. Raises InputError where they are stored otherwise."""
    return {column.name: _parsed(rows, column, contract) for column in contract.columns}


def scored_of(predictions: Predictions, rows: pa.Table, contract: Contract, judge: Contract) -> Scored:
    """As `score_rows`, of what the version of the contract says about the rows."""
    weight = as_array(rows.column(judge.weight)).to_numpy(zero_copy_only=False) if judge.weight else None
    target = as_array(rows.column(judge.target))
    if predictions.values is not None:
        truth = target.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return Scored("regression", truth, values=predictions.values.astype(np.float64), weight=weight)
    truth = find_classes(target, judge.classes)
    if len(truth) and truth.min() < 0:
        raise InputError(
            f"{contract.name}: the class {target[int(truth.argmin())].as_py()!r} is unknown to the version"
        )
    labels, probabilities = _express(predictions, contract.classes, judge.classes)
    return Scored(contract.task, truth, labels=labels, probabilities=probabilities, weight=weight)


def _parsed(rows: pa.Table, column: ContractColumn, contract: Contract) -> pa.Array:
    """The stored column as the version reads it; large values can't be brought to another size."""
    kind, stored = KINDS[column.settings.kind], rows.column(column.name)
    if kind.shape(column.settings) and stored.type != kind.arrow_type(column.settings):
        what = f"column {column.name!r} is stored in another size, length or window than version of {contract.name}"
        raise InputError(f"{what} takes; a version of the new one has to be promoted under another name")
    return kind.parse(stored, column.settings, contract.missing).values


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
