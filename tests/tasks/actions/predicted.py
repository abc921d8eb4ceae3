"""Predictions as scoring makes them, without a model behind them."""

import numpy as np
import pyarrow as pa

CLASSES = ("cancel", "refund")
LABELS = ["cancel", "refund", "refund", "cancel", "refund"]
REFUND = [0.2, 0.95, 0.6, 0.1, 0.9]


def constant(value: str, length: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(length, np.int32)), pa.array([value]))


def predictions(source: str = "in.csv", run_id: str = "run") -> pa.Table:
    """Five rows, numbered from 1."""
    refund = np.array(REFUND, np.float32)
    own = np.where(np.array(LABELS) == "refund", refund, 1 - refund)
    stamps = {"model": "m", "model_version": "3", "run_id": run_id, "source": source}
    return pa.table(
        {
            "label": pa.array(LABELS).dictionary_encode(),
            "probability": pa.array(own),
            "probability_cancel": pa.array(1 - refund),
            "probability_refund": pa.array(refund),
            **{name: constant(value, len(LABELS)) for name, value in stamps.items()},
            "row": pa.array(np.arange(1, len(LABELS) + 1)),
        }
    )


def inputs() -> pa.Table:
    """The raw rows behind `predictions`."""
    return pa.table({"id": [f"m{n}" for n in range(1, 6)], "message": [f"message {n}" for n in range(1, 6)]})
