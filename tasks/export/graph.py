"""One ONNX graph from raw columns to decisions: look-ups and joins in front, the network, the class names behind.

raw column [N, ...] -> graph_nodes of its kind -> one tensor a group [N, C, ...] -> network -> index -> label [N]
                                                                                    \\-> probabilities [N, K]
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnx import NodeProto, TensorProto, ValueInfoProto, compose, helper, numpy_helper
from torch import nn

from models.columns import KINDS, ColumnKind, ColumnSettings, Statistics, tensor_groups
from models.contract import output_names

ROWS = "rows"
IR_VERSION = 10
OPSETS = {"": 20, "ai.onnx.ml": 3, "com.microsoft": 1}


@dataclass(frozen=True)
class GraphColumn:
    """A raw column as the graph sees it."""

    name: str
    settings: ColumnSettings
    statistics: Statistics

    @property
    def kind(self) -> ColumnKind[Any, Any]:
        """Its kind."""
        return KINDS[self.settings.kind]


@dataclass(frozen=True)
class _Inner:
    """Beginnings of the names within the graph; those of inputs and outputs never begin with `root`."""

    root: str

    @property
    def network(self) -> str:
        """What the network's names begin with."""
        return f"{self.root}/network/"

    @property
    def joined(self) -> str:
        """What the tensor of a group of columns begins with."""
        return f"{self.root}/joined/"

    def at(self, stage: str, position: int) -> str:
        """The name of one column's values after a stage."""
        return f"{self.root}/{stage}/{position}"


def export_graph(
    network: nn.Module,
    example: dict[str, torch.Tensor],
    columns: Sequence[GraphColumn],
    classes: Sequence[str | int | bool],
) -> bytes:
    """The serialised graph, checked by `onnx.checker`.

    `network` takes one tensor [N, ...] for each group in `example`, and returns (index, probabilities), or one value
    [N] when there are no classes. Inputs of the graph are named as the columns are; see `output_names` for outputs.
    """
    inner = _inner_names([column.name for column in columns])
    core = _export_network(network, example, columns, inner, bool(classes))
    joined = compose.merge_models(
        _joining_graph(columns, inner),
        core,
        io_map=[(inner.joined + group, inner.network + group) for group in example],
        name="perennial",
    )
    model = _with_labels(joined, columns, inner, classes)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _inner_names(columns: Sequence[str]) -> _Inner:
    root = "inner"
    while any(name.startswith(root) for name in columns):
        root += "_"
    return _Inner(root)


def _export_network(
    network: nn.Module,
    example: dict[str, torch.Tensor],
    columns: Sequence[GraphColumn],
    inner: _Inner,
    classified: bool,
) -> onnx.ModelProto:
    with _quiet():
        program = torch.onnx.export(
            network.eval(),
            kwargs={"inputs": example},
            dynamo=True,
            opset_version=20,
            input_names=list(example),
            output_names=["index", "probabilities"] if classified else ["value"],
            dynamic_shapes={"inputs": _dynamic_shapes(columns)},
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    model = program.model_proto
    model.ir_version = IR_VERSION
    return compose.add_prefix(model, inner.network)


def _dynamic_shapes(columns: Sequence[GraphColumn]) -> dict[str, dict[int, Any]]:
    """The rows of every group's tensor, and the lengths of ragged ones."""
    rows = torch.export.Dim(ROWS)
    groups = tensor_groups([column.kind.name for column in columns])
    return {
        group: {0: rows, 1: torch.export.Dim(f"{group}_length")} if columns[of[0]].kind.ragged else {0: rows}
        for group, of in groups.items()
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes about packages that are not installed and its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _joining_graph(columns: Sequence[GraphColumn], inner: _Inner) -> onnx.ModelProto:
    """Raw columns in, one tensor a group out."""
    nodes: list[NodeProto] = []
    outputs: list[ValueInfoProto] = []
    axis = numpy_helper.from_array(np.array([1], dtype=np.int64), f"{inner.root}/axis")
    for group, positions in tensor_groups([column.kind.name for column in columns]).items():
        joined, first = inner.joined + group, columns[positions[0]]
        if first.kind.joined:
            for i in positions:
                nodes += [*_encoded(columns[i], inner.at("encoded", i)), _unsqueezed(i, inner, axis)]
            nodes.append(helper.make_node("Concat", [inner.at("column", i) for i in positions], [joined], axis=1))
        else:
            nodes += _encoded(first, joined)
        outputs.append(_encoded_info(joined, first, len(positions)))
    inputs = [
        helper.make_tensor_value_info(c.name, _raw_type(c.kind), [ROWS, *c.kind.shape(c.settings)]) for c in columns
    ]
    # ONNX itself doesn't know this operator, and crashes where the type of a value is not stated.
    split = [node.output[0] for node in nodes if node.op_type == "Tokenizer"]
    stated = [helper.make_tensor_value_info(name, TensorProto.STRING, None) for name in split]
    graph = helper.make_graph(nodes, "columns", inputs, outputs, [axis], value_info=stated)
    used = {node.domain for node in nodes} | {"", "ai.onnx.ml"}
    opsets = [helper.make_opsetid(domain, OPSETS[domain]) for domain in sorted(used)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def _encoded(column: GraphColumn, target: str) -> list[NodeProto]:
    return column.kind.graph_nodes(column.name, target, column.settings, column.statistics)


def _unsqueezed(position: int, inner: _Inner, axis: TensorProto) -> NodeProto:
    return helper.make_node("Unsqueeze", [inner.at("encoded", position), axis.name], [inner.at("column", position)])


def _raw_type(kind: ColumnKind[Any, Any]) -> int:
    dtype = kind.input_type
    return TensorProto.STRING if dtype is np.object_ else helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def _encoded_info(name: str, column: GraphColumn, columns: int) -> ValueInfoProto:
    kind = column.kind
    inner = [f"{name}/length"] if kind.ragged else [*kind.shape(column.settings)]
    shape = [ROWS, *([columns] if kind.joined else []), *inner]
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind.encoded_type)), shape)


def _with_labels(
    model: onnx.ModelProto, columns: Sequence[GraphColumn], inner: _Inner, classes: Sequence[str | int | bool]
) -> onnx.ModelProto:
    """The model with its outputs under their public names, and the class's name in place of its index."""
    names = output_names((c.name for c in columns), bool(classes))
    graph = model.graph
    del graph.output[:]
    if not classes:
        graph.node.append(helper.make_node("Identity", [inner.network + "value"], [names[0]]))
        graph.output.append(helper.make_tensor_value_info(names[0], TensorProto.FLOAT, [ROWS]))
        return model
    table = _class_table(classes, f"{inner.root}/classes")
    graph.initializer.append(table)
    graph.node.append(helper.make_node("Gather", [table.name, inner.network + "index"], [names[0]], axis=0))
    graph.node.append(helper.make_node("Identity", [inner.network + "probabilities"], [names[1]]))
    graph.output.append(helper.make_tensor_value_info(names[0], table.data_type, [ROWS]))
    graph.node.append(helper.make_node("Identity", [inner.network + "index"], [names[2]]))
    graph.output.append(helper.make_tensor_value_info(names[1], TensorProto.FLOAT, [ROWS, len(classes)]))
    graph.output.append(helper.make_tensor_value_info(names[2], TensorProto.INT64, [ROWS]))
    return model


def _class_table(classes: Sequence[str | int | bool], name: str) -> TensorProto:
    if isinstance(classes[0], str):
        return numpy_helper.from_array(np.array(classes, dtype=object), name)
    return numpy_helper.from_array(np.array(classes), name)
