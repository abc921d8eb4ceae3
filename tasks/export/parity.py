"""Proof that the exported graph decides as the trained network does, on raw rows."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import nn

from models.columns.cells import as_array
from models.errors import RefusedError
from tasks.export.exported import TOLERANCE, Parity
from tasks.scoring.predictor import Predictions, Predictor
from tasks.training.tensors import Layout, Tensors, encode_inputs

Outputs = tuple[list[NDArray[Any]], Predictions]
"""What network and graph say about the same rows."""
RESOLUTIONS = 4
"""Steps of float32 that rounding in another order may add up to."""


class ParityError(RefusedError):
    """The exported graph and the network disagree: no version may be made of it."""


def check_parity(network: nn.Module, layout: Layout, predictor: Predictor, pieces: Iterable[pa.Table]) -> Parity:
    """The comparison on all rows of the pieces, parsed columns; raises ParityError beyond `TOLERANCE`."""
    contract = predictor.contract
    outputs = ((_run_network(network, encode_inputs(rows, layout)), _predict(predictor, rows)) for rows in pieces)
    if contract.task == "regression":
        parity = _compare_values(outputs)
    else:
        parity = _compare_decisions(outputs, contract.threshold)
    if not parity.difference <= TOLERANCE or parity.labels_differ:
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


def _predict(predictor: Predictor, rows: pa.Table) -> Predictions:
    return predictor.predict({c.name: as_array(rows.column(c.name)) for c in predictor.contract.columns})


def _compare_values(outputs: Iterable[Outputs]) -> Parity:
    """Values have the target's unit, so the difference is taken relative to their spread over all rows.

    What float32 can't tell apart at their size is no difference.
    """
    both = [(network[0], _present(graph.values)) for network, graph in outputs]
    ours, theirs = (np.concatenate(side) for side in zip(*both, strict=True))
    resolution = float(np.spacing(np.abs(theirs).max(initial=0.0).astype(np.float32)))
    spread = max(float(np.std(theirs)), resolution)
    beyond = np.maximum(np.abs(ours - theirs) - RESOLUTIONS * resolution, 0.0)
    return Parity(len(theirs), float(beyond.max(initial=0.0) / spread), 0)


def _compare_decisions(outputs: Iterable[Outputs], threshold: float | None) -> Parity:
    rows, difference, labels_differ = 0, 0.0, 0
    for (index, ours), graph in outputs:
        theirs = _present(graph.probabilities)
        ordered = np.sort(theirs, axis=1)
        margin = np.abs(theirs[:, 1] - threshold) if threshold is not None else ordered[:, -1] - ordered[:, -2]
        rows += len(theirs)
        difference = float(np.maximum(difference, np.abs(ours - theirs).max()))
        labels_differ += int(((index != _present(graph.index)) & (margin > TOLERANCE)).sum())
    return Parity(rows, difference, labels_differ)


def _present(array: NDArray[Any] | None) -> NDArray[Any]:
    if array is None:
        raise ParityError("the graph returned no such output")
    return array
