"""Graphs in other precisions: the layers change, and nothing in front of them or behind."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.errors import InputError
from tasks.hardware.layers import Layers
from tasks.hardware.precision import NO_LAYERS, PRECISIONS, Precision, convert, prepared

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(0, 1000, (256, 3, 8, 8)).astype(np.float32)
SHIFT, SCALE = 5.0, 0.001


def picture_graph() -> bytes:
    """(x - shift) * scale -> Conv, Relu, MaxPool, Conv, Relu -> mean -> Gemm -> Gemm -> / temperature, Softmax."""
    weights = {
        "a": RANDOM.normal(0, 0.3, (8, 3, 3, 3)),
        "b": RANDOM.normal(0, 0.2, (16, 8, 3, 3)),
        "c": RANDOM.normal(0, 0.5, (16, 12)),
        "d": RANDOM.normal(0, 0.5, (12, 4)),
        "shift": np.array(SHIFT),
        "scale": np.array(SCALE),
        "temperature": np.array(0.7),
    }
    constants = [numpy_helper.from_array(np.asarray(value, dtype=np.float32), name) for name, value in weights.items()]
    constants.append(numpy_helper.from_array(np.array([2, 3], dtype=np.int64), "axes"))
    nodes = [
        helper.make_node("Sub", ["x", "shift"], ["centred"]),
        helper.make_node("Mul", ["centred", "scale"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "a"], ["a1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a1"], ["a2"]),
        helper.make_node("MaxPool", ["a2"], ["a3"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["a3", "b"], ["b1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["b1"], ["b2"]),
        helper.make_node("ReduceMean", ["b2", "axes"], ["b3"], keepdims=0),
        helper.make_node("Gemm", ["b3", "c"], ["c1"]),
        helper.make_node("Relu", ["c1"], ["c2"]),
        helper.make_node("Gemm", ["c2", "d"], ["d1"]),
        helper.make_node("Div", ["d1", "temperature"], ["d2"]),
        helper.make_node("Softmax", ["d2"], ["probabilities"], axis=1),
    ]
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 3, 8, 8])]
    made = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 4])]
    graph = helper.make_graph(nodes, "pictures", given, made, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


GRAPH = picture_graph()


def run(graph: bytes, rows: NDArray[Any] = ROWS) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": rows})
    return np.asarray(found)


def by_hand(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """The same by numpy in float64."""
    constants = {
        each.name: numpy_helper.to_array(each).astype(np.float64)
        for each in onnx.load_from_string(GRAPH).graph.initializer
    }

    def conv(x: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        return np.einsum("nchwij,ocij->nohw", windows, weights)

    x = (rows - SHIFT) * SCALE
    x = np.maximum(conv(x, constants["a"]), 0)
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))
    x = np.maximum(conv(x, constants["b"]), 0).mean(axis=(2, 3))
    x = np.maximum(x @ constants["c"], 0) @ constants["d"] / constants["temperature"]
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def feeds() -> Sequence[dict[str, NDArray[Any]]]:
    return [{"x": ROWS[start : start + 64]} for start in range(0, 256, 64)]


@pytest.mark.parametrize(
    ("precision", "allowed"),
    [("float32", 1e-5), ("float16", 5e-3), ("int8-dynamic", 0.03), ("int8-tensor", 0.03), ("int8-channel", 0.03)],
)
def test_each_precision_says_the_same_but_for_rounding(precision: Precision, allowed: float) -> None:
    found = run(convert(GRAPH, precision, feeds()))
    apart = np.abs(found - by_hand(ROWS)).max()
    assert apart < allowed
    if precision != "float32":
        assert apart > 1e-6, "nothing was converted"


def test_float32_is_the_graph_itself() -> None:
    assert convert(GRAPH, "float32", []) == GRAPH


def test_only_layers_before_the_last_are_quantised() -> None:
    layers = Layers(prepared(GRAPH))
    weights = {layers.nodes[name].input[1] for name in layers.dense}
    assert weights == {"b", "c"}, "not the last one, nor that of three colours"
    model = onnx.load_from_string(convert(GRAPH, "int8-tensor", feeds()))
    floats = {
        each.name for each in model.graph.initializer if each.data_type == TensorProto.FLOAT and len(each.dims) > 1
    }
    assert {name for name in floats if not name.endswith("/zeros")} == {"a", "d"}


def test_scaling_in_front_and_the_decision_behind_stay_as_they_are() -> None:
    for precision in PRECISIONS[1:]:
        model = onnx.load_from_string(convert(GRAPH, precision, feeds()))
        nodes = {node.output[0]: node for node in model.graph.node}
        front = next(node for node in model.graph.node if node.op_type == "Sub")
        assert list(front.input) == ["x", "shift"], precision
        behind = nodes["probabilities"]
        assert behind.op_type == "Softmax"
        assert nodes[behind.input[0]].op_type in ("Div", "Mul")
        kinds = {each.name: each.data_type for each in model.graph.initializer}
        assert kinds["shift"] == kinds["scale"] == TensorProto.FLOAT


def test_pixels_far_beyond_float16_survive_since_scaling_comes_first() -> None:
    large = (ROWS * 1000).astype(np.float32)
    constants = convert(GRAPH, "float16", [])
    assert np.abs(large).max() > np.finfo(np.float16).max
    assert np.isfinite(run(constants, large)).all()


def test_weights_have_a_scale_for_each_channel_where_that_is_asked_for() -> None:
    def most_scales(precision: Precision) -> int:
        model = onnx.load_from_string(convert(GRAPH, precision, feeds()))
        return max(numpy_helper.to_array(each).size for each in model.graph.initializer if each.name.endswith("_scale"))

    assert most_scales("int8-tensor") == 1
    assert most_scales("int8-channel") == 16


def test_the_file_becomes_smaller() -> None:
    assert len(convert(GRAPH, "float16", [])) < len(GRAPH)


@pytest.mark.parametrize("precision", PRECISIONS[1:])
def test_a_graph_without_layers_says_so(precision: Precision) -> None:
    node = helper.make_node("Softmax", ["x"], ["y"], axis=1)
    shape = ["rows", 4]
    given, made = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y"))
    graph = helper.make_graph([node], "bare", [given], [made])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    with pytest.raises(InputError, match=NO_LAYERS):
        convert(bytes(model.SerializeToString()), precision, [{"x": np.zeros((2, 4), dtype=np.float32)}])


def test_a_pool_behind_colours_is_not_moved_to_8_bits() -> None:
    """ONNX Runtime itself would put the rounding in front of the pool, where its kernel for 8 bits is slow."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as scratch:
        options.optimized_model_filepath = str(Path(scratch) / "optimised.onnx")
        quantised = convert(GRAPH, "int8-channel", feeds())
        onnxruntime.InferenceSession(quantised, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(options.optimized_model_filepath).graph
    makers = {value: node for node in graph.node for value in node.output}
    (pool,) = [node for node in graph.node if "MaxPool" in node.op_type]
    assert makers[pool.input[0]].op_type != "QuantizeLinear"
    assert "QLinearConv" in {node.op_type for node in graph.node}


@pytest.mark.parametrize("precision", ["int8-dynamic", "int8-tensor", "int8-channel"])
def test_no_sum_of_two_products_may_overflow_on_any_machine(precision: Precision) -> None:
    """Processors without VNNI add up two products of 8 bits in 16, and cut off what is too large (VPMADDUBSW)."""
    model = onnx.load_from_string(convert(GRAPH, precision, feeds()))
    weights = [numpy_helper.to_array(each) for each in model.graph.initializer if each.data_type == TensorProto.INT8]
    largest = max(int(np.abs(held.astype(np.int64)).max()) for held in weights if held.size)
    assert largest > 32 and 2 * 255 * largest < 1 << 15
