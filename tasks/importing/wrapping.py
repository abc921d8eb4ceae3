"""A graph of the house's own form around one that was made elsewhere.

raw column [N, ...] -> front -> the graph's own inputs -> its own nodes -> back -> label, probabilities, index or value
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, checker, helper

from models.columns import KINDS, ColumnSettings
from models.errors import InputError
from tasks.importing.answers import Answer
from tasks.importing.feeding import Feed
from tasks.importing.front import feed_input
from tasks.importing.graphs import AI_ONNX, ML, domain_of, forget_remarks, graphs_of, nodes_of, rename_all
from tasks.importing.nodes import Nodes
from tasks.importing.ports import ROWS

IR_VERSION = 10
USUAL_OPSET = 17
"""Of the main domain, where the graph uses none of its operators."""
REPLACING, LOOKING_UP = 9, 2
"""Opsets of the main domain and of ai.onnx.ml from which on values can be replaced, and texts looked up."""


@dataclass(frozen=True)
class Fronted:
    """A graph behind what feeds it with raw columns."""

    model: ModelProto
    """Its output is `source`."""
    front: ModelProto
    """What feeds it, alone."""
    fed: Mapping[str, str]
    """What the outputs of `front` are called, by the graph's own inputs."""
    source: str
    """The values that decide."""
    root: str
    """Beginning of all names but those of columns and outputs."""


def with_front(model: ModelProto, feeds: Sequence[Feed], answer: Answer, where: str) -> Fronted:
    """The graph with raw columns as its inputs; `where` names its file in errors."""
    columns = {name: settings for feed in feeds for name, settings in feed.columns.items()}
    root = _root(columns)
    nodes, own = Nodes(f"{root}/front"), f"{root}/model/"
    given = {feed.port.name: feed_input(nodes, feed, {name: name for name in columns}) for feed in feeds}
    inputs = [_raw_info(name, settings) for name, settings in columns.items()]
    wrapped = ModelProto()
    wrapped.CopyFrom(model)
    forget_remarks(wrapped)
    rename_all(wrapped.graph, own)
    _state_opsets(wrapped, nodes, where)
    front, fed = _front_alone(nodes, given, inputs, wrapped, root)
    for name, source in given.items():
        nodes.nodes.append(helper.make_node("Identity", [source], [own + name]))
    graph = wrapped.graph
    _keep(graph, own + answer.tensor)
    behind = list(graph.node)
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend([*nodes.nodes, *behind])
    graph.initializer.extend(nodes.constants)
    graph.input.extend(inputs)
    graph.output.append(ValueInfoProto(name=own + answer.tensor))
    # ONNX itself doesn't know this operator, and crashes where the type of a value is not stated.
    split = [node.output[0] for node in graph.node if node.op_type == "Tokenizer"]
    graph.value_info.extend(helper.make_tensor_value_info(name, TensorProto.STRING, None) for name in split)
    graph.name = "perennial"
    return Fronted(wrapped, front, fed, own + answer.tensor, root)


def with_back(fronted: Fronted, write: Callable[[Nodes], list[ValueInfoProto]], where: str) -> ModelProto:
    """The whole graph, by ONNX's own rules; `write` puts nodes behind it and gives its outputs."""
    nodes, model = Nodes(f"{fronted.root}/back"), ModelProto()
    outputs = write(nodes)
    model.CopyFrom(fronted.model)
    _state_opsets(model, nodes, where)
    model.graph.node.extend(nodes.nodes)
    model.graph.initializer.extend(nodes.constants)
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    try:
        checker.check_model(model)
    except checker.ValidationError as error:
        raise InputError(f"{where}: can't be wrapped: {str(error).splitlines()[0]}") from None
    return model


def _root(columns: Iterable[str]) -> str:
    root, names = "imported", list(columns)
    while any(name.startswith(root) for name in names):
        root += "_"
    return root


def _raw_info(name: str, settings: ColumnSettings) -> ValueInfoProto:
    kind = KINDS[settings.kind]
    text = kind.input_type is np.object_
    element = TensorProto.STRING if text else helper.np_dtype_to_tensor_dtype(np.dtype(kind.input_type))
    return helper.make_tensor_value_info(name, element, [ROWS, *kind.shape(settings)])


def _front_alone(
    nodes: Nodes, given: Mapping[str, str], inputs: Sequence[ValueInfoProto], like: ModelProto, root: str
) -> tuple[ModelProto, dict[str, str]]:
    fed = {name: f"{root}/fed/{place}" for place, name in enumerate(given)}
    ends = [helper.make_node("Identity", [source], [fed[name]]) for name, source in given.items()]
    outputs = [ValueInfoProto(name=name) for name in fed.values()]
    graph = helper.make_graph([*nodes.nodes, *ends], "front", inputs, outputs, nodes.constants)
    used = {node.domain for node in graph.node} | {AI_ONNX}
    opsets = [opset for opset in like.opset_import if opset.domain in used]
    return helper.make_model(graph, opset_imports=opsets, ir_version=like.ir_version), fed


def _state_opsets(model: ModelProto, added: Nodes, where: str) -> None:
    """Opsets of the domains that are used, high enough for the added nodes.

    Raises InputError where the graph's own nodes would mean something else then.
    """
    stated = {AI_ONNX if each.domain == "ai.onnx" else each.domain: each.version for each in model.opset_import}
    used = {domain_of(node) for node in nodes_of(model)} | {function.domain for function in model.functions}
    stated = {domain: version for domain, version in stated.items() if domain in used or domain == AI_ONNX}
    stated.setdefault(AI_ONNX, USUAL_OPSET)
    if added.replaces and stated[AI_ONNX] < REPLACING:
        what = f"its opset, ai.onnx {stated[AI_ONNX]}, has no way to replace values; {REPLACING} has"
        raise InputError(f"{where}: {what}: raise it with onnx.version_converter.convert_version(model, {REPLACING})")
    if added.looks_up:
        if stated.get(ML, LOOKING_UP) < LOOKING_UP and any(n.op_type == "LabelEncoder" for n in nodes_of(model)):
            raise InputError(f"{where}: its LabelEncoder is of ai.onnx.ml 1; convert the model with a newer converter")
        stated[ML] = max(stated.get(ML, 0), LOOKING_UP)
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in sorted(stated.items()))
    model.ir_version = max(model.ir_version, IR_VERSION)


def _keep(graph: GraphProto, wanted: str) -> None:
    """Takes out nodes and weights that the wanted value does not rest on."""
    needed, kept = {wanted}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= _read_by(node)
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(weights)
    del graph.value_info[:]


def _read_by(node: NodeProto) -> set[str]:
    """Names of the values that a node reads, in branches and loops too."""
    inner = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    inner += [graph for attribute in node.attribute for graph in attribute.graphs]
    found = set(node.input)
    for graph in (each for outer in inner for each in graphs_of(outer)):
        found.update(name for each in graph.node for name in each.input)
        found.update(output.name for output in graph.output)
    return found
