"""How predictions are named when they leave: the same columns in files and from MLflow's pyfunc."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.contract import Contract
from tasks.scoring.predictor import Predictions


def output_columns(predictions: Predictions, contract: Contract) -> dict[str, pa.Array]:
    """Prediction columns: `value`; or `label`, the label's own `probability`, and one `probability_CLASS` a class."""
    if predictions.index is None or predictions.probabilities is None:
        return {"value": pa.array(predictions.values)}
    return {
        "label": label_array(predictions.index, contract),
        "probability": pa.array(own_scores(predictions)),
        **{
            f"probability_{name}": pa.array(p)
            for name, p in zip(contract.classes, predictions.probabilities.T, strict=True)
        },
    }


def label_array(index: np.ndarray[tuple[int], np.dtype[np.int64]], contract: Contract) -> pa.Array:
    """Class names [N]; strings are dictionary-encoded, so that no row costs a string of its own."""
    names = pa.array(list(contract.classes))
    if pa.types.is_string(names.type):
        return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32)), names)
    return names.take(pa.array(index))


def own_scores(predictions: Predictions) -> NDArray[np.float32]:
    """The value, or the probability of the label; [N]."""
    if predictions.index is None or predictions.probabilities is None:
        return np.asarray(predictions.values)
    return np.take_along_axis(predictions.probabilities, predictions.index[:, None], axis=1)[:, 0]


def no_predictions(contract: Contract) -> Predictions:
    """Those of no rows."""
    return Predictions.of_no_rows(contract)


def constant_column(value: str, length: int) -> pa.Array:
    """One text in every row, dictionary-encoded."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(length, dtype=np.int32)), pa.array([value]))
