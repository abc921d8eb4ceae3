"""What drift is looked for in: some rows' values of each column, and what a version predicts for them."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.columns import KINDS
from models.columns.category.statistics import CategoryStatistics
from models.columns.cells import valid
from models.contract import Contract, ContractColumn
from models.profile import MISSING, UNSEEN
from tasks.monitoring.vocabulary import Vocabulary
from tasks.scoring.predictor import Predictions

Values: TypeAlias = NDArray[np.float64] | NDArray[np.bool_] | pa.Array
"""Numbers [N] with NaN for missing ones, whether something holds for each row, or names."""
UNKNOWN_WORDS = "unknown words"
HELD_OUT = frozenset({UNSEEN, UNKNOWN_WORDS})
"""What only rows can tell that were not learnt from: a training row's values are known as it was one."""
NAMED = frozenset({"category", "boolean"})
"""Kinds whose values a hash can stand for, where they are sensitive."""


def watched_in(column: ContractColumn, values: pa.Array, vocabulary: Vocabulary | None) -> Mapping[str, Values]:
    """The facets of a column's parsed values; of a sensitive one only those that can do without its values."""
    settings, missing = column.settings, {MISSING: ~valid(values)}
    if settings.sensitive and settings.kind not in NAMED:
        return missing
    found: dict[str, Values] = {**KINDS[settings.kind].watched(values, settings), **missing}
    if isinstance(column.statistics, CategoryStatistics):
        found[UNSEEN] = _unseen(values, column.statistics.vocabulary)
    if vocabulary is not None:
        found[UNKNOWN_WORDS] = vocabulary.unknown(values)
    return found


def watched_predictions(predictions: Predictions, contract: Contract) -> Mapping[str, Values]:
    """Labels and the probability of the second of two classes, or of the likeliest of more; or values."""
    if predictions.index is None or predictions.probabilities is None:
        values = np.empty(0) if predictions.values is None else predictions.values
        return {"value": values.astype(np.float64)}
    names = pa.array([str(name) for name in contract.classes], pa.string())
    sure = predictions.probabilities[:, 1] if len(names) == 2 else predictions.probabilities.max(axis=1, initial=0)
    labels = pa.DictionaryArray.from_arrays(pa.array(predictions.index), names)
    return {"label": labels, "probability": sure.astype(np.float64)}


def _unseen(values: pa.DictionaryArray, vocabulary: tuple[str, ...]) -> NDArray[np.bool_]:
    """Whether each value is there and not in the vocabulary, [N]."""
    known = pc.is_in(values.dictionary, value_set=pa.array(vocabulary, pa.string()))
    found = pc.fill_null(pc.invert(known).take(values.indices), False)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)
