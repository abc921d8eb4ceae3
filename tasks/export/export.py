"""From trained weights to the folder that is judged and registered: graph, contract, and the proof of parity."""

import hashlib
from pathlib import Path

import pyarrow as pa
import torch

from models.columns import KINDS, ColumnSettings, Statistics
from models.contract import GRAPH_FILE, Contract, ContractColumn, SplitSpec, write_contract
from models.errors import OutsideError
from models.modelfile import ModelFile
from models.sections import Task
from tasks.export.exported import Digests, Exported
from tasks.export.graph import GraphColumn, export_graph
from tasks.export.parity import check_parity
from tasks.scoring.predictor import Predictor
from tasks.training.fit import Weights, load_weights
from tasks.training.tensors import Layout, Tensors, encode_inputs


def export_model(
    weights: Path, model_file: ModelFile, task: Task, split: SplitSpec, digests: Digests, judged: pa.Table, folder: Path
) -> Exported:
    """Graph and contract in `folder`, after torch and ONNX Runtime agreed on all `judged` rows (parsed columns).

    Raises ParityError when they don't, OutsideError when the disk refuses.
    """
    trained = load_weights(weights, model_file)
    encoded = encode_inputs(judged, Layout(model_file.columns, trained.statistics, model_file.target.column))
    columns = [GraphColumn(n, s, trained.statistics[n]) for n, s in model_file.columns.items()]
    network = trained.calibrated()
    graph = export_graph(network, _example(encoded), columns, trained.classes)
    contract = _contract(model_file, task, split, digests, trained, hashlib.sha256(graph).hexdigest())
    _write(folder, graph, contract)
    predictor = Predictor.load(folder, contract.graph_sha256)
    rows = {name: judged.column(name).combine_chunks() for name in model_file.columns}
    return Exported(folder, contract.graph_sha256, len(graph), check_parity(network, encoded, predictor, rows))


def _example(encoded: Tensors) -> dict[str, torch.Tensor]:
    """A few rows to trace the network with: more than one, since a size of 1 would be taken for a constant."""
    return encoded.take(torch.tensor([0, len(encoded) - 1, 0])).inputs


def _write(folder: Path, graph: bytes, contract: Contract) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / GRAPH_FILE).write_bytes(graph)
        write_contract(contract, folder)
    except OSError as error:
        raise OutsideError(f"{folder}: the graph could not be written: {error.strerror}") from None


def _contract(
    model_file: ModelFile, task: Task, split: SplitSpec, digests: Digests, trained: Weights, sha256: str
) -> Contract:
    return Contract(
        name=model_file.name,
        task=task,
        target=model_file.target.column,
        columns=tuple(
            ContractColumn(name=name, settings=settings, statistics=_shown(settings, trained.statistics[name]))
            for name, settings in model_file.columns.items()
        ),
        missing=model_file.data.missing,
        series=model_file.series,
        sensitive_columns=model_file.data.sensitive,
        classes=trained.classes,
        threshold=trained.threshold,
        temperature=trained.temperature,
        weight=model_file.training.weight,
        split=split,
        snapshot=digests.snapshot,
        model_file=digests.model_file,
        code=digests.code,
        graph_sha256=sha256,
    )


def _shown(settings: ColumnSettings, statistics: Statistics) -> Statistics:
    """The profile that everyone may read: counts alone where the column is sensitive."""
    if settings.sensitive:
        return Statistics(count=statistics.count, missing=statistics.missing)
    return KINDS[settings.kind].profiled(statistics)
