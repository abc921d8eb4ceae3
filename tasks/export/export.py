"""From trained weights to the folder that is judged and registered: graph, contract, and the proof of parity."""

import hashlib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import pyarrow as pa
import torch

from models.actions import action_problems
from models.columns import KINDS, ColumnSettings, Statistics
from models.contract import GRAPH_FILE, Contract, ContractColumn, SplitSpec, write_contract
from models.errors import InputError, OutsideError
from models.modelfile import ModelFile
from models.sections import Task
from tasks.export.exported import Digests, Exported
from tasks.export.graph import GraphColumn, export_graph
from tasks.export.parity import check_parity
from tasks.scoring.predictor import Predictor
from tasks.training.fit import Weights, load_weights
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
    contract = _contract(model_file, task, split, digests, trained, hashlib.sha256(graph).hexdigest())
    _write(folder, graph, contract)
    predictor = Predictor.load(folder, contract.graph_sha256)
    parity = check_parity(network, layout, predictor, chain([first], pieces))
    return Exported(folder, contract.graph_sha256, len(graph), parity)


def _example(rows: pa.Table, layout: Layout) -> dict[str, torch.Tensor]:
    """A few rows to trace the network with: more than one, since a size of 1 would be taken for a constant."""
    few = rows.take([0, len(rows) - 1, 0])
    return encode_inputs(few, layout).take(torch.arange(3)).inputs


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
    problems = list(action_problems(model_file.actions, trained.classes))
    if problems:
        raise InputError(*(f"{model_file.name}: {problem}" for problem in problems))
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
        actions=model_file.actions,
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
