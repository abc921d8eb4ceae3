"""What a graph answers: which of its outputs means what, and in which order its classes are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from onnx import ModelProto, NodeProto, TensorProto, helper

from models.columns.cells import canonical_word
from models.graphsection import Graph
from models.problems import near_match
from models.sections import Task
from tasks.importing.feeding import FLOATS, WHOLE
from tasks.importing.ports import Port, outputs_of

Meaning = Literal["probabilities", "logits", "value", "label"]
USUAL: Mapping[str, Meaning] = {
    "label": "label", "output_label": "label", "probabilities": "probabilities", "probability": "probabilities",
    "output_probability": "probabilities", "logits": "logits", "value": "value", "variable": "value",
}  # fmt: skip
"""Names by which converters call outputs."""
TELLING: Mapping[str, Meaning] = {
    "Softmax": "probabilities", "Sigmoid": "probabilities", "ZipMap": "probabilities", "LogSoftmax": "logits",
    "TreeEnsembleRegressor": "value", "LinearRegressor": "value", "SVMRegressor": "value",
}  # fmt: skip
"""Operators whose results mean one thing only."""
PASSING = ("Identity", "Cast", "Reshape", "Squeeze", "Flatten", "Unsqueeze")
"""Operators that leave values as they are."""
CLASS_LISTS = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")


@dataclass(frozen=True)
class Answer:
    """The output that decides."""

    meaning: Meaning
    output: str
    """As the graph calls it."""
    tensor: str
    """Where its values are; before the dictionaries of ZipMap, where there are any."""
    listed: tuple[str | int, ...]
    """Classes in the order of the values, as the graph has them; none where it does not tell."""
    port: Port

    @property
    def classes(self) -> tuple[str, ...]:
        """The listed classes as those of a target are read."""
        return tuple(map(canonical_word, self.listed))

    @property
    def numbered(self) -> bool:
        """Whether they are whole numbers, which may stand for names that the graph does not know."""
        return all(isinstance(name, int) for name in self.listed)


@dataclass(frozen=True)
class Answering:
    """What decides, or why that can't be told."""

    answer: Answer | None
    problems: tuple[str, ...]


def find_answer(model: ModelProto, graph: Graph, task: Task | None) -> Answering:
    """The output that the model file names, or the only one that it can be.

    `task` is what the target asks for, where it is known; without it nothing may be found, and nothing wrong with that.
    """
    ports = {port.name: port for port in outputs_of(model)}
    said: dict[Meaning, str] = {
        meaning: name
        for meaning in ("probabilities", "logits", "value", "label")
        if (name := getattr(graph, meaning)) is not None
    }
    unknown = [
        f"graph.{meaning}: the graph has no output {name!r}{near_match(name, list(ports))}"
        for meaning, name in said.items()
        if name not in ports
    ]
    if unknown:
        return Answering(None, tuple(unknown))
    found = said or _meanings(model, list(ports.values()), task)
    meaning = next((each for each in ("probabilities", "logits", "value", "label") if each in found), None)
    if meaning is None:
        listed = ", ".join(f"{name!r} {port}" for name, port in ports.items())
        unclear = (
            f"graph: what its outputs mean can't be told ({listed}); name one as graph.probabilities, logits or value"
        )
        return Answering(None, (unclear,) if task else ())
    answer = _answer(model, meaning, ports[found[meaning]])
    return Answering(answer, tuple(_answer_problems(answer, graph, task)))


def _meanings(model: ModelProto, ports: Sequence[Port], task: Task | None) -> dict[Meaning, str]:
    """Outputs by what their names or operators say of them, the first of each."""
    makers = {name: node for node in model.graph.node for name in node.output}
    found: dict[Meaning, str] = {}
    for port in ports:
        node = _maker(port.name, makers)
        meaning = USUAL.get(port.name) or (TELLING.get(node.op_type) if node else None)
        if meaning is None and task == "regression" and len(ports) == 1:
            meaning = "value"
        if meaning == "value" and task not in (None, "regression"):
            meaning = None
        if meaning:
            found.setdefault(meaning, port.name)
    return found


def _maker(name: str, makers: Mapping[str, NodeProto]) -> NodeProto | None:
    """The node that computed a value, before those that only put it into another form."""
    node = makers.get(name)
    while node is not None and node.op_type in PASSING and node.input and node.input[0] in makers:
        node = makers[node.input[0]]
    return node


def _answer(model: ModelProto, meaning: Meaning, port: Port) -> Answer:
    makers = {name: node for node in model.graph.node for name in node.output}
    node, tensor = makers.get(port.name), port.name
    classes: tuple[str | int, ...] = ()
    while node is not None and node.op_type == "Identity" and not port.type:
        tensor = node.input[0]
        node = makers.get(tensor)
    if node is not None and node.op_type == "ZipMap":
        classes, tensor = _listed(node), node.input[0]
    elif meaning in ("probabilities", "logits", "label"):
        classes = _only(model)
    return Answer(meaning, port.name, tensor, classes, port)


def _only(model: ModelProto) -> tuple[str | int, ...]:
    """The classes that a classifier among the nodes lists, where all that list some list the same."""
    lists = {listed for node in model.graph.node if (listed := _listed(node))}
    return lists.pop() if len(lists) == 1 else ()


def _listed(node: NodeProto) -> tuple[str | int, ...]:
    for attribute in node.attribute:
        if attribute.name in CLASS_LISTS:
            values = helper.get_attribute_value(attribute)
            return tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else int(v) for v in values)
    return ()


def _answer_problems(answer: Answer, graph: Graph, task: Task | None) -> Iterator[str]:
    port, where = answer.port, f"graph.{answer.meaning}"
    if not port.type and answer.tensor == answer.output:
        yield f"{where}: {answer.output!r} is no tensor; export it with zipmap switched off"
    elif port.type and answer.meaning != "label" and port.type not in FLOATS:
        yield f"{where}: {answer.output!r} is {port}, and should be floating-point numbers"
    elif answer.meaning == "label" and port.type not in (TensorProto.STRING, *WHOLE):
        yield f"{where}: {answer.output!r} is {port}, and should be texts or whole numbers"
    if port.shape is not None and len(port.shape) > 2 and any(size != 1 for size in port.shape[2:]):
        yield f"{where}: {answer.output!r} is {port}; one answer a row has at most 2 axes"
    if task == "regression" and answer.meaning != "value":
        yield f'{where}: the target is a regression, and the graph answers classes; say target.kind = "multiclass"'
    if task in ("binary", "multiclass") and answer.meaning == "value":
        yield f'{where}: the target has classes, and the graph answers values; say target.kind = "regression"'
    if graph.classes and answer.classes and graph.classes != answer.classes:
        if not answer.numbered or set(graph.classes) == set(answer.classes):
            own = ", ".join(answer.classes[:10])
            yield f"graph.classes: are not what the graph lists itself, in this order: {own}; remove the line"
        elif len(graph.classes) != len(answer.classes):
            named = ", ".join(graph.classes[:10])
            yield f"graph.classes: there are {len(graph.classes)} ({named}), and the graph lists {len(answer.classes)}"
