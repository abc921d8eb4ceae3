"""Versions made by hand: a graph of a few nodes whose answers can be worked out on paper."""

import hashlib
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from models.columns import KINDS, ColumnSettings
from models.contract import GRAPH_FILE, Contract, write_contract
from tests.contracts import contract_of

COLUMNS: dict[str, ColumnSettings] = {
    "load": KINDS["number"].settings(min=-50, max=50),
    "shop": KINDS["category"].settings(max_characters=20),
}
TYPES = {
    "number": TensorProto.FLOAT,
    "boolean": TensorProto.FLOAT,
    "image": TensorProto.UINT8,
    "series": TensorProto.FLOAT,
}


def write_version(folder: Path, columns: dict[str, ColumnSettings] | None = None, factor: float = 1.0) -> Contract:
    """A regression whose value is `factor` times "load", NaN counting as 0; other columns make no difference."""
    columns = COLUMNS if columns is None else columns
    nodes = [
        helper.make_node("IsNaN", ["load"], ["unknown"]),
        helper.make_node("Where", ["unknown", "zero", "load"], ["known"]),
        helper.make_node("Mul", ["known", "factor"], ["value"]),
    ]
    constants = [("zero", 0.0), ("factor", factor)]
    graph = helper.make_graph(
        nodes, "by hand", [_input(name, settings) for name, settings in columns.items()],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, ["N"])],
        [helper.make_tensor(name, TensorProto.FLOAT, [1], [number]) for name, number in constants],
    )  # fmt: skip
    return _write(folder, graph, contract_of(columns, name="by-hand"))


def write_classifier(folder: Path, name: str = "sorted") -> Contract:
    """Of "load" alone: "high" above 0, with probability .75 where it is, .25 where not; else "low"."""
    nodes = [
        helper.make_node("Greater", ["load", "zero"], ["above"]),
        helper.make_node("Cast", ["above"], ["class_index"], to=TensorProto.INT64),
        helper.make_node("Where", ["above", "much", "little"], ["high"]),
        helper.make_node("Sub", ["one", "high"], ["low"]),
        helper.make_node("Unsqueeze", ["low", "axis"], ["low column"]),
        helper.make_node("Unsqueeze", ["high", "axis"], ["high column"]),
        helper.make_node("Concat", ["low column", "high column"], ["probabilities"], axis=1),
        helper.make_node("Gather", ["names", "class_index"], ["label"]),
    ]
    numbers = {"zero": 0.0, "one": 1.0, "much": 0.75, "little": 0.25}
    constants = [helper.make_tensor(name, TensorProto.FLOAT, [1], [number]) for name, number in numbers.items()]
    constants += [helper.make_tensor("axis", TensorProto.INT64, [1], [1])]
    constants += [helper.make_tensor("names", TensorProto.STRING, [2], [b"low", b"high"])]
    columns = {"load": KINDS["number"].settings()}
    outputs = [("label", TensorProto.STRING, ["N"]), ("probabilities", TensorProto.FLOAT, ["N", 2])]
    outputs += [("class_index", TensorProto.INT64, ["N"])]
    graph = helper.make_graph(
        nodes, "by hand", [_input(n, s) for n, s in columns.items()],
        [helper.make_tensor_value_info(*output) for output in outputs], constants,
    )  # fmt: skip
    contract = contract_of(columns, "binary", name=name, classes=("low", "high"), threshold=0.5)
    return _write(folder, graph, contract)


def _input(name: str, settings: ColumnSettings) -> onnx.ValueInfoProto:
    kind = KINDS[settings.kind]
    return helper.make_tensor_value_info(
        name, TYPES.get(settings.kind, TensorProto.STRING), ["N", *kind.shape(settings)]
    )


def _write(folder: Path, graph: onnx.GraphProto, contract: Contract) -> Contract:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    folder.mkdir(parents=True)
    (folder / GRAPH_FILE).write_bytes(model)
    sealed = contract.model_copy(update={"graph_sha256": hashlib.sha256(model).hexdigest()})
    write_contract(sealed, folder)
    return sealed
