"""Proof that the exported graph decides as the trained network does, on raw rows."""

from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import nn

from models.errors import RefusedError
from tasks.export.exported import TOLERANCE, Parity
from tasks.scoring.predictor import Predictor
from tasks.training.tensors import Tensors

RESOLUTIONS = 4
"""Steps of float32 that rounding in another order may add up to."""


class ParityError(RefusedError):
    """The exported graph and the network disagree: no version may be made of it."""


def check_parity(network: nn.Module, encoded: Tensors, predictor: Predictor, columns: dict[str, pa.Array]) -> Parity:
    """The comparison on all given rows; raises ParityError beyond `TOLERANCE`.

    `encoded` holds the rows for the network, `columns` the same rows parsed, for the graph.
    """
    ours = _run_network(network, encoded)
    theirs = predictor.predict(columns)
    contract = predictor.contract
    if contract.task == "regression":
        parity = _compare_values(ours[0], _present(theirs.values))
    else:
        same = ours[0] == _present(theirs.index)
        parity = _compare_decisions(ours[1], _present(theirs.probabilities), same, contract.threshold)
    if parity.difference > TOLERANCE or parity.labels_differ:
        raise ParityError(
            f"{contract.name}: torch and ONNX Runtime differ by {parity.difference:.2g} (allowed {TOLERANCE:g}) "
            f"with {parity.labels_differ} other labels on {parity.rows} rows; the export was stopped"
        )
    return parity


def _run_network(network: nn.Module, encoded: Tensors) -> list[NDArray[Any]]:
    with torch.inference_mode():
        parts = [network(rows.inputs) for rows in encoded.chunks()]
    columns = zip(*parts, strict=True) if isinstance(parts[0], tuple) else [parts]
    return [torch.cat(list(part)).cpu().numpy() for part in columns]


def _compare_values(ours: NDArray[Any], theirs: NDArray[Any]) -> Parity:
    """Values have the target's unit, so the difference is taken relative to their spread.

    What float32 can't tell apart at their size is no difference.
    """
    resolution = float(np.spacing(np.abs(theirs).max(initial=0.0).astype(np.float32)))
    spread = max(float(np.std(theirs)), resolution)
    beyond = np.maximum(np.abs(ours - theirs) - RESOLUTIONS * resolution, 0.0)
    return Parity(len(theirs), float(beyond.max(initial=0.0) / spread), 0)


def _compare_decisions(
    ours: NDArray[Any], theirs: NDArray[Any], same: NDArray[np.bool_], threshold: float | None
) -> Parity:
    ordered = np.sort(theirs, axis=1)
    margin = np.abs(theirs[:, 1] - threshold) if threshold is not None else ordered[:, -1] - ordered[:, -2]
    return Parity(len(theirs), float(np.abs(ours - theirs).max()), int((~same & (margin > TOLERANCE)).sum()))


def _present(array: NDArray[Any] | None) -> NDArray[Any]:
    if array is None:
        raise ParityError("the graph returned no such output")
    return array
