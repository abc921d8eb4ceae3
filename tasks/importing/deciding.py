"""From what a graph answers to the classes of a version, in their order."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.classes import WHOLE, Classes, typed
from models.columns.cells import canonical_word
from models.errors import InputError
from models.graphsection import Graph
from models.sections import Task
from tasks.importing.answers import Answer

TRUTH = {"0": "false", "1": "true"}
MOST_NAMED = 10


@dataclass(frozen=True)
class Decision:
    """How the graph's answers become those of a version."""

    classes: Classes
    """In the order of the version's probabilities; none for a regression."""
    order: tuple[int, ...]
    """Where the graph has them among its own."""
    threshold: float | None
    """Binary: the second class is the label from this probability on."""


def decide(answer: Answer, graph: Graph, task: Task, known: Sequence[str], width: int, threshold: float) -> Decision:
    """The classes of the version.

    `known` are those of the data, of a binary target the positive one last; `width` is how many numbers the graph
    answers for a row. Raises InputError where a class of the data is none of the graph's, or their number is not right.
    """
    if task == "regression":
        if width != 1:
            raise InputError(f"graph.value: {answer.output!r} has {width} values a row; a regression has one")
        return Decision((), (), None)
    own = _own_classes(answer, graph, known, width)
    _check_known(own, known, task)
    if answer.meaning != "label" and len(own) != width and (len(own), width) != (2, 1):
        raise InputError(
            f"graph.classes: there are {len(own)} ({_some(own)}), and {answer.output!r} has {width} numbers a row"
        )
    names = typed([*own])
    if task == "binary":
        order = tuple(own.index(name) for name in known)
        return Decision(tuple(names[i] for i in order), order, threshold)
    order = tuple(sorted(range(len(own)), key=names.__getitem__))
    return Decision(tuple(names[i] for i in order), order, None)


def _own_classes(answer: Answer, graph: Graph, known: Sequence[str], width: int) -> tuple[str, ...]:
    """The classes in the graph's own order, in the words of the data."""
    if graph.classes:
        return graph.classes
    own = answer.classes
    if own and set(known) == set(TRUTH.values()) and set(own) == set(TRUTH):
        return tuple(TRUTH[name] for name in own)
    if own:
        return own
    count = max(width, 2)
    counted = tuple(map(canonical_word, range(count)))
    if set(known) <= set(counted):
        return counted
    if set(known) == set(TRUTH.values()) and count == 2:
        return tuple(TRUTH.values())
    raise InputError(
        f"graph.classes: the graph does not tell its classes; give them in its order (the data has {_some(known)})"
    )


def _check_known(own: Sequence[str], known: Sequence[str], task: Task) -> None:
    strange = [name for name in known if name not in own]
    if strange:
        what = f"the data has the class {strange[0]!r}, which the graph does not know (it has {_some(own)})"
        advice = (
            "give graph.classes, the names in its order" if all(map(WHOLE.fullmatch, own)) else "leave such rows out"
        )
        raise InputError(f"target: {what}; {advice}")
    if task == "binary" and len(own) > len(known):
        raise InputError(
            f'target.kind: the graph knows {len(own)} classes, and the data has 2 of them; say kind = "multiclass"'
        )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMED])
    return shown if len(names) <= MOST_NAMED else f"{shown} and {len(names) - MOST_NAMED} more"
