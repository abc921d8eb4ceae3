"""From trained weights to the folder that is judged and registered: graph, contract, and the proof of parity."""

import hashlib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import pyarrow as pa
import torch

from models.contract import SplitSpec
from models.errors import InputError
from models.modelfile import ModelFile
from models.sections import Task
from tasks.export.contracting import Decides, contract_of, write_graph
from tasks.export.exported import Digests, Exported
from tasks.export.graph import GraphColumn, export_graph
from tasks.export.parity import check_parity
from tasks.scoring.predictor import Predictor
from tasks.training.fit import load_weights
from tasks.training.tensors import Layout, encode_inputs


def export_model(
    weights: Path,
    model_file: ModelFile,
    task: Task,
    split: SplitSpec,
    digests: Digests,
    judged: Iterable[pa.Table],
    folder: Path,
) -> Exported:
    """Graph and contract in `folder`, after torch and ONNX Runtime agreed on all `judged` rows (parsed columns).

    These come in pieces, each of which is let go before the next. Raises ParityError when the two don't agree,
    InputError when there are no rows or an action does not fit the classes, OutsideError when the disk refuses.
    """
    pieces = iter(judged)
    first = next(pieces, None)
    if first is None or not len(first):
        raise InputError("split: no test rows to compare the graph on; give more data or a larger split.test")
    trained = load_weights(weights, model_file)
    layout = Layout(model_file.columns, trained.statistics, model_file.target.column)
    columns = [GraphColumn(n, s, trained.statistics[n]) for n, s in model_file.columns.items()]
    network = trained.calibrated()
    graph = export_graph(network, _example(first, layout), columns, trained.classes)
    decides = Decides(trained.classes, trained.threshold, trained.temperature)
    sha256 = hashlib.sha256(graph).hexdigest()
    contract = contract_of(model_file, task, split, digests, trained.statistics, decides, sha256)
    write_graph(folder, graph, contract)
    predictor = Predictor.load(folder, contract.graph_sha256)
    parity = check_parity(network, layout, predictor, chain([first], pieces))
    return Exported(folder, contract.graph_sha256, len(graph), parity)


def _example(rows: pa.Table, layout: Layout) -> dict[str, torch.Tensor]:
    """A few rows to trace the network with: more than one, since a size of 1 would be taken for a constant."""
    few = rows.take([0, len(rows) - 1, 0])
    return encode_inputs(few, layout).take(torch.arange(3)).inputs
