"""The inputs and outputs of a graph as it declares them, and how their first axis comes to be the rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, numpy_helper

ROWS = "rows"


@dataclass(frozen=True)
class Port:
    """An input or output."""

    name: str
    type: int
    """Of `TensorProto`; 0 where it is no tensor."""
    shape: tuple[int | None, ...] | None
    """None for a size that is open; None in place of all where nothing is stated."""

    def __str__(self) -> str:
        """For people, such as float [N, 4]."""
        kind = TensorProto.DataType.Name(self.type).lower() if self.type else "no tensor"
        if self.shape is None:
            return kind
        sizes = ["N" if at == 0 else "?" if size is None else str(size) for at, size in enumerate(self.shape)]
        return f"{kind} [{', '.join(sizes)}]"


def inputs_of(model: ModelProto) -> tuple[Port, ...]:
    """What has to be fed; older graphs list their weights among the inputs, which need not be."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return tuple(_port(info) for info in model.graph.input if info.name not in weights)


def outputs_of(model: ModelProto) -> tuple[Port, ...]:
    """What the graph answers."""
    return tuple(_port(info) for info in model.graph.output)


def _port(info: ValueInfoProto) -> Port:
    if not info.type.HasField("tensor_type"):
        return Port(info.name, 0, None)
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        return Port(info.name, tensor.elem_type, None)
    sizes = tuple(size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim)
    # Some exporters write an open size as 0 or -1.
    return Port(info.name, tensor.elem_type, tuple(size if size and size > 0 else None for size in sizes))


def fixed_batch(ports: Sequence[Port]) -> int | None:
    """The number of rows that the graph insists on; None where it takes any."""
    return next((port.shape[0] for port in ports if port.shape and port.shape[0] is not None), None)


def free_batch(model: ModelProto, inputs: Sequence[str], rows: int) -> None:
    """Lets the inputs have any number of rows instead of `rows`, as far as the graph's own constants allow.

    Shapes that were worked out for the fixed number are forgotten, and constant shapes of Reshape that begin with it
    begin with the number of rows instead. Whether each row is still answered by itself has to be shown by running it.
    """
    graph = model.graph
    for info in graph.input:
        if info.name in inputs:
            info.type.tensor_type.shape.dim[0].dim_param = ROWS
    del graph.value_info[:]
    for info in graph.output:
        if info.type.HasField("tensor_type"):
            info.type.tensor_type.ClearField("shape")
    _free_reshapes(graph, rows)


def _free_reshapes(graph: GraphProto, rows: int) -> None:
    readers: dict[str, list[str]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node.op_type)
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    for node in graph.node:
        target = tensors.get(node.input[1]) if node.op_type == "Reshape" and len(node.input) > 1 else None
        if target is None or set(readers[node.input[1]]) != {"Reshape"}:
            continue
        sizes = numpy_helper.to_array(target).copy()
        if sizes.ndim == 1 and len(sizes) and sizes[0] == rows:
            # 0 copies the size of what is reshaped, -1 is what is left over.
            sizes[0] = 0 if (sizes[1:] == -1).any() else -1
            target.CopyFrom(numpy_helper.from_array(sizes, target.name))
