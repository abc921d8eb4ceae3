"""Version 2 of the Open Inference Protocol over REST: a tensor for each raw column, and tensors of what was predicted.

Its source: https://github.com/kserve/open-inference-protocol. Data travel as JSON; the binary extension does not.
"""

import math
import sys
from collections import Counter
from typing import Any

import orjson

from models.columns import KINDS, ColumnSettings
from models.columns.kind import FileSettings
from models.contract import Contract
from tasks.serving.asking import NO_ENDPOINT, Answered, Asked, ColumnsAsked
from tasks.serving.plain import endpoint_of
from tasks.serving.problem import bad_request
from tasks.serving.served import Served

PLATFORM = "onnxruntime_onnx"
TYPES = frozenset(
    ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES")
)
TYPE_OF_CLASS = {bool: "BOOL", int: "INT64", str: "BYTES"}


def read_infer(given: Any, served: Served, request_id: str) -> Asked:
    """What a parsed body asks. Raises RequestError."""
    if not isinstance(given, dict) or not isinstance(given.get("inputs"), list) or not given["inputs"]:
        raise bad_request('send an object with "inputs": a list of tensors, one for each column')
    if not isinstance(given.get("id", ""), str):
        raise bad_request('"id" is a text')
    tensors = [_tensor(tensor, position) for position, tensor in enumerate(given["inputs"], 1)]
    names = [name for name, _, _ in tensors]
    [(most, times)] = Counter(names).most_common(1)
    if times > 1:
        raise bad_request(f"input {most!r} is given {times} times")
    counts = {shape[0] for _, shape, _ in tensors}
    if len(counts) > 1:
        raise bad_request(f"all inputs have one number of rows; these have {', '.join(map(str, sorted(counts)))}")
    _check_outputs(given.get("outputs"), served.contract)
    columns = served.reader.columns
    # Of others, which an action may send, those that are one value a row.
    others = {name: data for name, shape, data in tensors if name not in columns and len(data) == shape[0]}
    cells = others | {
        name: _cells(name, shape, data, columns[name]) for name, shape, data in tensors if name in columns
    }
    parameters = given.get("parameters") or {}
    endpoint = parameters.get("endpoint", NO_ENDPOINT) if isinstance(parameters, dict) else NO_ENDPOINT
    return Asked(request_id, ColumnsAsked(cells, counts.pop()), endpoint_of(endpoint))


def write_infer(answered: Answered, request_id: str, wanted: Any) -> bytes:
    """The answer; `wanted` is "outputs" of the request."""
    found = {output["name"]: output for output in _outputs(answered)}
    names = [output["name"] for output in wanted] if wanted else list(found)
    served = answered.served
    return orjson.dumps(
        {
            "model_name": served.name,
            "model_version": served.version,
            "id": request_id,
            "outputs": [found[name] for name in names],
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def metadata(served: Served) -> dict[str, Any]:
    """What the protocol tells of a model."""
    contract = served.contract
    return {
        "name": served.name,
        "versions": [served.version],
        "platform": PLATFORM,
        "inputs": [
            {"name": column.name, "datatype": _input_type(column.settings), "shape": [-1, *_shape(column.settings)]}
            for column in contract.columns
        ],
        "outputs": [
            {"name": name, "datatype": kind, "shape": [-1, *shape]}
            for name, (kind, shape) in _described(contract).items()
        ],
    }


def _described(contract: Contract) -> dict[str, tuple[str, list[int]]]:
    if contract.task == "regression":
        return {"value": ("FP32", [])}
    return {
        "label": (TYPE_OF_CLASS[type(contract.classes[0])], []),
        "probabilities": ("FP32", [len(contract.classes)]),
    }


def _outputs(answered: Answered) -> list[dict[str, Any]]:
    contract, found = answered.served.contract, answered.predictions
    data: dict[str, Any]
    if found.index is None or found.probabilities is None:
        data = {"value": found.values}
    else:
        data = {
            "label": [contract.classes[index] for index in found.index.tolist()],
            "probabilities": found.probabilities.ravel(),
        }
    rows = len(answered.asked.rows)
    described = _described(contract)
    return [
        {"name": name, "datatype": described[name][0], "shape": [rows, *described[name][1]], "data": values}
        for name, values in data.items()
    ]


def _tensor(given: Any, position: int) -> tuple[str, list[int], list[Any]]:
    """Name, shape and data of an input."""
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise bad_request(f"input {position} has no name")
    name, shape, data = given["name"], given.get("shape"), given.get("data")
    if (
        not isinstance(shape, list)
        or not shape
        or not all(type(side) is int and 0 <= side <= sys.maxsize for side in shape)
    ):
        raise bad_request(f"input {name!r}: shape is a list of whole numbers, rows first")
    kind = given.get("datatype")
    if not isinstance(kind, str) or kind not in TYPES:
        raise bad_request(f"input {name!r}: no such datatype {kind!r}; there are {', '.join(sorted(TYPES))}")
    if not isinstance(data, list):
        raise bad_request(f"input {name!r}: data is a list; the binary extension is not served")
    return name, shape, data


def _cells(name: str, shape: list[int], data: list[Any], settings: ColumnSettings) -> list[Any]:
    """The cell of each row, from data that may be nested or flat."""
    rows, inner = shape[0], list(_shape(settings))
    sides = shape[1:] if shape[1:] == inner else [side for side in shape[1:] if side != 1]
    if sides != inner:
        raise bad_request(f"input {name!r}: shape {shape} is not {[rows, *inner]}")
    size = math.prod(inner)
    flat = _flattened(data, name, rows * size) if any(isinstance(cell, list) for cell in data) else data
    if len(flat) != rows * size:
        raise bad_request(f"input {name!r}: {len(flat)} values, but its shape {shape} has {rows * size}")
    return [flat[start : start + size] for start in range(0, len(flat), size)] if inner else flat


def _flattened(data: list[Any], name: str, most: int) -> list[Any]:
    flat: list[Any] = []
    for cell in data:
        inner = cell if isinstance(cell, list) else [cell]
        if any(isinstance(deeper, list) for deeper in inner):
            raise bad_request(f"input {name!r}: data is nested deeper than its shape")
        flat += inner
        if len(flat) > most:
            raise bad_request(f"input {name!r}: more than the {most} values of its shape")
    return flat


def _check_outputs(wanted: Any, contract: Contract) -> None:
    known = _described(contract)
    if wanted is None or wanted == []:
        return
    if not isinstance(wanted, list) or not all(isinstance(w, dict) and isinstance(w.get("name"), str) for w in wanted):
        raise bad_request('"outputs" is a list of objects with a name')
    unknown = [one["name"] for one in wanted if one["name"] not in known]
    if unknown:
        raise bad_request(f"no such output {unknown[0]!r}; there are {', '.join(known)}")


def _shape(settings: ColumnSettings) -> tuple[int, ...]:
    """Of one cell as it is sent: a picture is one file."""
    return () if isinstance(settings, FileSettings) else KINDS[settings.kind].shape(settings)


def _input_type(settings: ColumnSettings) -> str:
    if isinstance(settings, FileSettings):
        return "BYTES"
    return {"number": "FP64", "boolean": "BOOL", "series": "FP32"}.get(settings.kind, "BYTES")
