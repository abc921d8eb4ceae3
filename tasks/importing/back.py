"""What stands behind a graph that was made elsewhere: its answers become label, probabilities and index, or a value."""

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto, ValueInfoProto, helper

from models.classes import Classes
from tasks.importing.answers import Answer
from tasks.importing.deciding import Decision
from tasks.importing.nodes import Nodes
from tasks.importing.ports import ROWS

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING


def read_answer(
    nodes: Nodes, answer: Answer, source: str, width: int, decision: Decision, names: Sequence[str]
) -> list[ValueInfoProto]:
    """The graph's outputs under `names`, those of `output_names`; `source` holds `width` numbers a row."""
    if not decision.classes:
        nodes.give(nodes.reshape(nodes.cast(source, FLOAT), -1), names[0])
        return [helper.make_tensor_value_info(names[0], FLOAT, [ROWS])]
    probabilities = _ordered(nodes, _probabilities(nodes, answer, source, width, decision), decision)
    index = _index(nodes, probabilities, decision)
    table = nodes.constant(_table(decision.classes))
    nodes.give(nodes.add("Gather", table, index, axis=0), names[0])
    nodes.give(probabilities, names[1])
    nodes.give(index, names[2])
    kind = {str: STRING, int: INT64, bool: TensorProto.BOOL}[type(decision.classes[0])]
    return [
        helper.make_tensor_value_info(names[0], kind, [ROWS]),
        helper.make_tensor_value_info(names[1], FLOAT, [ROWS, len(decision.classes)]),
        helper.make_tensor_value_info(names[2], INT64, [ROWS]),
    ]


def _probabilities(nodes: Nodes, answer: Answer, source: str, width: int, decision: Decision) -> str:
    """[N, K] in the graph's own order."""
    if answer.meaning == "label":
        return _certain(nodes, answer, source, decision)
    found = nodes.reshape(nodes.cast(source, FLOAT), -1, width)
    if width > 1:
        return nodes.add("Softmax", found, axis=1) if answer.meaning == "logits" else found
    second = nodes.add("Sigmoid", found) if answer.meaning == "logits" else found
    first = nodes.add("Sub", nodes.constant(np.ones(1, np.float32)), second)
    return nodes.add("Concat", first, second, axis=1)


def _certain(nodes: Nodes, answer: Answer, source: str, decision: Decision) -> str:
    """1 for the class that the graph names, 0 for all others."""
    texts = answer.port.type == STRING
    flat = nodes.reshape(source if texts else nodes.cast(source, INT64), -1)
    index = nodes.look_up(flat, label_keys(answer, decision), -1)
    depth = nodes.constant(np.array(len(decision.classes), dtype=np.int64))
    return nodes.add("OneHot", index, depth, nodes.constant(np.array([0, 1], dtype=np.float32)), axis=-1)


def label_keys(answer: Answer, decision: Decision) -> list[str] | list[int]:
    """What the label output holds for each class, in the graph's own order."""
    own: list[str | int | bool] = [""] * len(decision.order)
    for place, position in enumerate(decision.order):
        own[position] = decision.classes[place]
    if answer.port.type == STRING:
        return [str(name) for name in answer.listed or own]
    if answer.listed:
        return [int(name) for name in answer.listed]
    return [int(name) for name in own] if all(isinstance(name, int) for name in own) else list(range(len(own)))


def _ordered(nodes: Nodes, probabilities: str, decision: Decision) -> str:
    if decision.order == tuple(range(len(decision.order))):
        return probabilities
    return nodes.add("Gather", probabilities, nodes.constant(np.array(decision.order, dtype=np.int64)), axis=1)


def _index(nodes: Nodes, probabilities: str, decision: Decision) -> str:
    """The place of the label among the classes, int64 [N]."""
    if decision.threshold is None:
        return nodes.add("ArgMax", probabilities, axis=1, keepdims=0)
    second = nodes.add("Gather", probabilities, nodes.constant(np.array(1, dtype=np.int64)), axis=1)
    below = nodes.add("Less", second, nodes.constant(np.array([decision.threshold], dtype=np.float32)))
    return nodes.cast(nodes.add("Not", below), INT64)


def _table(classes: Classes) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    return np.array(classes, dtype=object if isinstance(classes[0], str) else None)
