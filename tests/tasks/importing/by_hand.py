"""Small graphs made by hand, rows and a model file for them, and what is wrong with others."""

from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.errors import InputError
from tests.imports import bring, write_spec

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING


def info(name: str, kind: int = FLOAT, *sizes: int | str | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(sizes))


def model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    tensors: dict[str, np.ndarray] | None = None,
    **opsets: int,
) -> onnx.ModelProto:
    """A small graph of ai.onnx 17, or of the opsets that are given (dots as underscores)."""
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in (tensors or {}).items()]
    graph = helper.make_graph(nodes, "odd", inputs, outputs, weights)
    stated = {"": 17} | {name.replace("_", "."): version for name, version in opsets.items() if name != "main"}
    stated[""] = opsets.get("main", 17)
    listed = [helper.make_opsetid(domain, version) for domain, version in stated.items()]
    return helper.make_model(graph, opset_imports=listed, ir_version=8, producer_name="by hand")


def linear() -> onnx.ModelProto:
    """Two numbers in, one out."""
    return model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [info("x", FLOAT, None, 2)],
        [info("y", FLOAT, None, 1)],
        {"w": np.array([[2.0], [1.0]], np.float32)},
    )


def rows(count: int = 80) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"a": random.normal(size=count), "b": random.normal(size=count)})
    return frame.assign(y=2 * frame["a"] + frame["b"], kind=random.choice(["p", "q"], count))


COLUMNS = '"a" = "number"\n"b" = "number"'


def problems_of(given: object, spec: Path, trust: bool = False) -> list[str]:
    with pytest.raises(InputError) as caught:
        bring(given, spec, trust)  # type: ignore[arg-type]
    assert all("\n" not in problem and len(problem) < 700 for problem in caught.value.problems)
    return list(caught.value.problems)


def spec_of(folder: Path, graph: str = "missing = 0", target: str = 'column = "y"', columns: str = COLUMNS) -> Path:
    return write_spec(folder, rows(), target, columns, graph)


def write_external(folder: Path, place: str, **more: int) -> Path:
    """The linear graph whose weights lie elsewhere."""
    given = linear()
    tensor = given.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": place, **more}.items():
        tensor.external_data.add(key=key, value=str(value))
    (folder / "given.onnx").write_bytes(given.SerializeToString())
    return folder / "given.onnx"


def passed(operator: str, domain: str, **opsets: int) -> onnx.ModelProto:
    """Two numbers through one operator."""
    return model(
        [helper.make_node(operator, ["x"], ["y"], domain=domain)],
        [info("x", FLOAT, None, 2)],
        [info("y", FLOAT, None, 2)],
        **opsets,
    )


def huge(elements: int) -> onnx.ModelProto:
    """As many copies of each row's first number as are asked for, summed up."""
    nodes = [
        helper.make_node("Gather", ["x", "first"], ["column"], axis=1),
        helper.make_node("Expand", ["column", "sizes"], ["many"]),
        helper.make_node("ReduceSum", ["many", "axes"], ["y"], keepdims=1),
    ]
    tensors = {"first": np.array([0]), "sizes": np.array([1, elements]), "axes": np.array([1])}
    return model(nodes, [info("x", FLOAT, None, 2)], [info("y", FLOAT, None, 1)], tensors)


def endless() -> onnx.ModelProto:
    """A loop of 2 ** 62 rounds."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["held", "one"], ["more"])],
        "body",
        [info("round", INT64), info("go", TensorProto.BOOL), info("held", FLOAT, None, 1)],
        [info("on", TensorProto.BOOL), info("more", FLOAT, None, 1)],
    )
    nodes = [
        helper.make_node("Gather", ["x", "first"], ["column"], axis=1),
        helper.make_node("Loop", ["rounds", "yes", "column"], ["y"], body=body),
    ]
    tensors = {
        "first": np.array([0]), "rounds": np.array(2**62), "yes": np.array(True), "one": np.ones((1, 1), np.float32),
    }  # fmt: skip
    return model(nodes, [info("x", FLOAT, None, 2)], [info("y", FLOAT, None, 1)], tensors)
