"""A graph in other precisions. What stands in front of the network and behind it stays as it is, in float32.

Imputing, scaling and look-ups of raw columns decide by small differences, and so do calibration and threshold; the time
goes into the layers between them.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from models.errors import InputError
from tasks.hardware.apart import held_apart
from tasks.hardware.half import in_half
from tasks.hardware.layers import Layers

Precision = Literal["float32", "float16", "int8-dynamic", "int8-tensor", "int8-channel"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
"""The most exact first. Static int8 has one scale for a layer's weights, or one for each of its channels."""
PRECISION_NAMES: Mapping[str, str] = {
    "float32": "float32",
    "float16": "float16",
    "int8-dynamic": "int8, scaled while it runs",
    "int8-tensor": "int8, per tensor",
    "int8-channel": "int8, per channel",
}
NO_LAYERS = "no layer of this graph can be converted: it multiplies with no constant weights of its own"

Feed = Mapping[str, NDArray[Any]]
"""Graph inputs of some rows."""


def convert(graph: bytes, precision: Precision, calibration: Sequence[Feed]) -> bytes:
    """The graph in another precision, with the same inputs and outputs, checked.

    Static int8 takes the ranges of activations from the `calibration` rows (minimum and maximum; Jacob et al. 2018).
    Weights of int8 are kept to 7 bits: on processors without VNNI the sums of 8-bit products overflow, and a version
    may be scored on other machines than this one. Raises InputError where no layer of the graph can be converted.
    """
    if precision == "float32":
        return graph
    layers = Layers(prepared(graph))
    if precision == "float16":
        if not layers.weighted:
            raise InputError(NO_LAYERS)
        return _checked(in_half(layers), graph)
    chosen = layers.dense if precision != "int8-dynamic" else _multiplied(layers)
    if not chosen:
        raise InputError(NO_LAYERS)
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "quantised.onnx"
        if precision == "int8-dynamic":
            _quantise_dynamic(layers, target, chosen)
        else:
            apart = held_apart(layers, chosen)
            nodes = (*chosen, *apart.carrying(chosen))
            _quantise_static(apart, target, nodes, calibration, precision == "int8-channel")
        return _checked(onnx.load(target), graph)


def prepared(graph: bytes) -> ModelProto:
    """The graph with constants folded and normalisations merged into the layers before them; every node has a name."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "basic.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 3
        onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        model = onnx.load(path)
    _import_once(model)
    taken = {node.name for node in model.graph.node}
    for position, node in enumerate(model.graph.node):
        if not node.name:
            node.name = next(name for name in _names(node.op_type, position) if name not in taken)
            taken.add(node.name)
    return model


def _import_once(model: ModelProto) -> None:
    """Each domain that nodes are of is imported once: merged graphs name one twice, and ONNX Runtime all it knows."""
    used = {node.domain for node in model.graph.node}
    versions: dict[str, int] = {}
    for each in model.opset_import:
        if each.domain in used | {""}:
            versions[each.domain] = max(each.version, versions.get(each.domain, 0))
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in versions.items())


def _names(kind: str, position: int) -> Iterator[str]:
    yield f"{kind}_{position}"
    yield from (f"{kind}_{position}_{number}" for number in range(1, 1000))


def _multiplied(layers: Layers) -> tuple[str, ...]:
    """Layers whose inputs are scaled while the graph runs: products of matrices, since convolutions become slower."""
    return tuple(name for name in layers.dense if layers.nodes[name].op_type != "Conv")


def _quantise_dynamic(layers: Layers, target: Path, nodes: Sequence[str]) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # It makes a MatMul of each Gemm before it looks for the nodes, under this name.
    named = [f"{name}_MatMul" if layers.nodes[name].op_type == "Gemm" else name for name in nodes]
    quantize_dynamic(
        layers.model,
        target,
        op_types_to_quantize=["MatMul"],
        nodes_to_quantize=named,
        reduce_range=True,
        weight_type=QuantType.QInt8,
    )


def _quantise_static(
    layers: Layers, target: Path, nodes: Sequence[str], calibration: Sequence[Feed], per_channel: bool
) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Rows(CalibrationDataReader):  # type: ignore[misc]
        """The calibration rows, batch by batch."""

        def __init__(self) -> None:
            self._left = iter(calibration)

        def get_next(self) -> Feed | None:
            """The next batch; None when there are no more."""
            return next(self._left, None)

    quantize_static(
        layers.model,
        target,
        Rows(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=sorted({layers.nodes[name].op_type for name in nodes}),
        nodes_to_quantize=list(nodes),
        per_channel=per_channel,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def _checked(model: ModelProto, original: bytes) -> bytes:
    """The serialised model. Raises InputError where its inputs or outputs are others than they were."""
    before = onnx.load_from_string(original)
    for side in ("input", "output"):
        names = [[each.name for each in getattr(graph, side)] for graph in (before.graph, model.graph)]
        types = [
            [each.type.tensor_type.elem_type for each in getattr(graph, side)] for graph in (before.graph, model.graph)
        ]
        if names[0] != names[1] or types[0] != types[1]:
            raise InputError(f"the converted graph has other {side}s")
    return bytes(model.SerializeToString(deterministic=True))
