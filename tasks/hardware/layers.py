"""Which nodes of a graph are layers of the network: those with weights, and what lies between them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from onnx import ModelProto, NodeProto, TensorProto

WEIGHTED = {"Conv", "MatMul", "Gemm"}
FEWEST_CHANNELS = 8
CARRIED = frozenset({"Relu", "MaxPool"})
"""Operators that take and give 8-bit numbers as well as others."""


@dataclass(frozen=True)
class Layers:
    """Nodes of a graph by their names; every node has one."""

    model: ModelProto

    @cached_property
    def nodes(self) -> Mapping[str, NodeProto]:
        """All, in the order of the graph."""
        return {node.name: node for node in self.model.graph.node}

    @cached_property
    def constants(self) -> Mapping[str, TensorProto]:
        """Initializers."""
        return {each.name: each for each in self.model.graph.initializer}

    @cached_property
    def weighted(self) -> tuple[str, ...]:
        """Nodes that multiply with constant float32 weights."""
        return tuple(name for name, node in self.nodes.items() if self._weights(node) is not None)

    @cached_property
    def dense(self) -> tuple[str, ...]:
        """Those of `weighted` that pay in 8 bits and bear it: not the last ones, which decide, nor batched matrices.

        Batched matrices are the embeddings of raw numbers, where a rounded value may cross a threshold, and the heads
        of the members. A convolution over the three colours of a picture has too few channels to gain anything.
        """
        last = {name for name in self.weighted if not self._leads_to(name, set(self.weighted) - {name})}
        return tuple(name for name in self.weighted if name not in last and self._is_plain(self.nodes[name]))

    def within(self, ends: Collection[str], operators: Collection[str]) -> tuple[str, ...]:
        """Nodes of these operators that lie behind one of the `ends` and in front of another."""
        behind, before = self._reached(ends, self._readers), self._reached(ends, self._makers)
        return tuple(
            name
            for name, node in self.nodes.items()
            if node.op_type in operators and name in behind and name in before and name not in ends
        )

    def carrying(self, ends: Collection[str]) -> tuple[str, ...]:
        """Nodes that hand 8-bit numbers on from one of the `ends`, straight or by way of others of `CARRIED`."""
        found: dict[str, None] = {}
        for name, node in self.nodes.items():
            makers = self._makers.get(name, ())
            if node.op_type in CARRIED and makers and all(maker in ends or maker in found for maker in makers):
                found[name] = None
        return tuple(found)

    def _weights(self, node: NodeProto) -> TensorProto | None:
        if node.op_type not in WEIGHTED or node.domain not in ("", "ai.onnx") or len(node.input) < 2:
            return None
        weights = self.constants.get(node.input[1])
        return weights if weights is not None and weights.data_type == TensorProto.FLOAT else None

    def _is_plain(self, node: NodeProto) -> bool:
        weights = self._weights(node)
        if weights is None:
            return False
        if node.op_type == "Conv":
            groups = next((each.i for each in node.attribute if each.name == "group"), 1)
            return groups > 1 or weights.dims[1] >= FEWEST_CHANNELS
        return len(weights.dims) == 2

    @cached_property
    def _makers(self) -> Mapping[str, tuple[str, ...]]:
        """Nodes by the node that reads what they give."""
        maker = {value: name for name, node in self.nodes.items() for value in node.output if value}
        return {name: tuple(maker[v] for v in node.input if v in maker) for name, node in self.nodes.items()}

    @cached_property
    def _readers(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for name, makers in self._makers.items():
            for maker in makers:
                found.setdefault(maker, []).append(name)
        return {name: tuple(readers) for name, readers in found.items()}

    def _leads_to(self, name: str, others: Collection[str]) -> bool:
        return bool(self._reached([name], self._readers) & set(others))

    @staticmethod
    def _reached(starts: Iterable[str], steps: Mapping[str, tuple[str, ...]]) -> set[str]:
        """Nodes behind the starts, without the starts that no other leads to."""
        found: set[str] = set()
        waiting = [step for start in starts for step in steps.get(start, ())]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += steps.get(name, ())
        return found
