"""The layers of a graph in float16, between casts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tasks.hardware.layers import Layers

ALL = -1
INPUTS: Mapping[str, int] = {
    **dict.fromkeys(("Conv", "MatMul", "Gemm", "Add", "Sub", "Mul", "Concat", "Clip"), ALL),
    **dict.fromkeys(("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Identity", "Flatten", "MaxPool", "AveragePool"), 1),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "Transpose", "Reshape", "Squeeze", "Unsqueeze"), 1),
}
"""Operators that may run in float16, and how many of their inputs are numbers: the others say where or how."""
LARGEST = float(np.finfo(np.float16).max)


@dataclass
class _Conversion:
    """What is known while the nodes are gone through in their order."""

    layers: Layers
    half: frozenset[str]
    """Names of the nodes that run in float16."""
    halved: dict[str, str] = field(default_factory=dict)
    """Values of which there is a float16 one, by the name of that."""
    weights: dict[str, TensorProto] = field(default_factory=dict)

    def nodes(self) -> Iterator[NodeProto]:
        """The nodes of the new graph, in their order."""
        for name, node in self.layers.nodes.items():
            if name not in self.half:
                yield node
                continue
            changed = NodeProto()
            changed.CopyFrom(node)
            count = INPUTS[node.op_type]
            for place, value in enumerate(node.input):
                if value and (count == ALL or place < count):
                    yield from self._cast(value)
                    changed.input[place] = self.halved[value]
            given = node.output[0]
            self.halved[given] = changed.output[0] = f"{given}/half"
            yield changed
            yield helper.make_node("Cast", [f"{given}/half"], [given], f"{given}/whole", to=TensorProto.FLOAT)

    def _cast(self, value: str) -> Iterator[NodeProto]:
        """What is needed for the value in float16, unless there is one."""
        if value in self.halved:
            return
        self.halved[value] = f"{value}/half"
        constant = self.layers.constants.get(value)
        if constant is None:
            yield helper.make_node("Cast", [value], [f"{value}/half"], f"{value}/halved", to=TensorProto.FLOAT16)
        else:
            numbers = np.clip(numpy_helper.to_array(constant), -LARGEST, LARGEST).astype(np.float16)
            self.weights[value] = numpy_helper.from_array(numbers, f"{value}/half")


def in_half(layers: Layers) -> ModelProto:
    """The model with its weighted layers, and what lies between them, in float16; weights beyond its range are cut."""
    inner = layers.within(layers.weighted, INPUTS.keys())
    conversion = _Conversion(layers, frozenset((*layers.weighted, *inner)))
    nodes = _without_unread(list(conversion.nodes()), layers.model.graph)
    read = {value for node in nodes for value in node.input}
    model = ModelProto()
    model.CopyFrom(layers.model)
    kept = [each for each in model.graph.initializer if each.name in read]
    for part, new in (("node", nodes), ("initializer", [*kept, *conversion.weights.values()])):
        del getattr(model.graph, part)[:]
        getattr(model.graph, part).extend(new)
    onnx.checker.check_model(model)
    return model


def _without_unread(nodes: list[NodeProto], graph: GraphProto) -> list[NodeProto]:
    """The nodes without casts whose results nobody reads."""
    read = {value for node in nodes for value in node.input} | {given.name for given in graph.output}
    return [node for node in nodes if node.op_type != "Cast" or node.output[0] in read]
