"""Nodes that are put around a graph, in forms that all opsets from 7 on understand alike."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from tasks.importing.graphs import AI_ONNX, ML


class Nodes:
    """Nodes and constants in their order; names of their values begin with a prefix."""

    def __init__(self, prefix: str) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._prefix = prefix

    @property
    def looks_up(self) -> bool:
        """Whether there is a node of the second version of ai.onnx.ml among them."""
        return any(node.domain == ML for node in self.nodes)

    @property
    def replaces(self) -> bool:
        """Whether there is a node of the ninth version of ai.onnx among them."""
        return any(node.op_type in ("Where", "IsNaN", "OneHot") for node in self.nodes)

    def add(self, operator: str, *inputs: str, domain: str = AI_ONNX, **attributes: Any) -> str:
        """The name of the new node's output."""
        name = self._next(operator)
        self.nodes.append(helper.make_node(operator, inputs, [name], name, domain=domain, **attributes))
        return name

    def give(self, source: str, name: str) -> None:
        """Lets a value have a name of its own."""
        self.nodes.append(helper.make_node("Identity", [source], [name], self._next("Identity")))

    def constant(self, values: NDArray[Any]) -> str:
        """The name of a constant."""
        name = self._next("constant")
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def _next(self, what: str) -> str:
        return f"{self._prefix}/{what}_{len(self.nodes) + len(self.constants)}"

    def reshape(self, source: str, *sizes: int) -> str:
        """With other sizes; -1 is what is left over."""
        return self.add("Reshape", source, self.constant(np.array(sizes, dtype=np.int64)))

    def cast(self, source: str, to: int) -> str:
        """In another type of `TensorProto`."""
        return self.add("Cast", source, to=to)

    def look_up(self, source: str, keys: list[str] | list[int], other: int) -> str:
        """The position of each value among the keys, int64; `other` where it is none of them."""
        given = {"keys_strings" if isinstance(keys[0], str) else "keys_int64s": keys}
        positions = list(range(len(keys)))
        return self.add("LabelEncoder", source, domain=ML, **given, values_int64s=positions, default_int64=other)
