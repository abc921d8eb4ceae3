"""Walking through ONNX graphs with the graphs inside of them, and giving all their values other names."""

from collections.abc import Iterator

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

AI_ONNX, ML, MICROSOFT = "", "ai.onnx.ml", "com.microsoft"


def domain_of(node: NodeProto) -> str:
    """The domain of its operator; the main one has an empty name."""
    return AI_ONNX if node.domain == "ai.onnx" else node.domain


def graphs_of(graph: GraphProto) -> Iterator[GraphProto]:
    """The graph and all graphs in attributes of its nodes, at any depth."""
    waiting = [graph]
    while waiting:
        found = waiting.pop()
        yield found
        for node in found.node:
            waiting.extend(_inner(node))


def nodes_of(model: ModelProto) -> Iterator[NodeProto]:
    """All nodes, those of branches, loops and the model's own functions too."""
    for graph in graphs_of(model.graph):
        yield from graph.node
    for function in model.functions:
        for node in function.node:
            yield node
            for inner in _inner(node):
                yield from (each for graph in graphs_of(inner) for each in graph.node)


def tensors_of(model: ModelProto) -> Iterator[TensorProto]:
    """All tensors that the model holds: initializers, also sparse ones, and attributes of nodes."""
    for graph in graphs_of(model.graph):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in nodes_of(model):
        for attribute in node.attribute:
            yield from _held(attribute)


def _inner(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _held(attribute: AttributeProto) -> Iterator[TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    sparse = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
    for each in (*sparse, *attribute.sparse_tensors):
        yield from (each.values, each.indices)


def rename_all(graph: GraphProto, prefix: str) -> None:
    """Puts the prefix before every name of a value or node, inside of branches and loops too.

    `onnx.compose.add_prefix` would leave the names by which inner graphs read initializers of outer ones as they are.
    """
    for each in graphs_of(graph):
        for info in (*each.input, *each.output, *each.value_info, *each.initializer):
            info.name = prefix + info.name
        for sparse in each.sparse_initializer:
            sparse.values.name, sparse.indices.name = prefix + sparse.values.name, prefix + sparse.indices.name
        for note in each.quantization_annotation:
            note.tensor_name = prefix + note.tensor_name
            for pair in note.quant_parameter_tensor_names:
                pair.value = prefix + pair.value
        for node in each.node:
            node.name = prefix + node.name if node.name else ""
            # An empty name stands for an input that is left out.
            node.input[:] = [prefix + name if name else "" for name in node.input]
            node.output[:] = [prefix + name if name else "" for name in node.output]


def forget_remarks(model: ModelProto) -> None:
    """Takes out what exporters note about themselves, such as the paths and lines of the code that was traced."""
    del model.metadata_props[:]
    model.doc_string = ""
    for graph in graphs_of(model.graph):
        graph.doc_string = ""
        del graph.metadata_props[:]
        for noted in (*graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
            noted.doc_string = ""
            del noted.metadata_props[:]
    for node in nodes_of(model):
        node.doc_string = ""
        del node.metadata_props[:]
