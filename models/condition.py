"""Conditions on a prediction, such as `label == "refund" and probability >= 0.9`: parsed, and never run as code."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from models.classes import Class, Classes
from models.problems import near_match

EXAMPLE = 'such as label == "refund" and probability >= 0.9'
DEEPEST = 50
"""Conditions within conditions."""
LARGEST = 3.4e38
"""Of a float32, which predictions are."""
SIGNS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
ORDER = ("<", "<=", ">", ">=")
TRUTH = {"true": True, "false": False}
"""As TOML writes them, beside Python's own words."""


@dataclass(frozen=True)
class Output:
    """A column of the predictions."""

    name: str


@dataclass(frozen=True)
class Comparison:
    """An output beside one literal, several (in, not in), or another output."""

    output: Output
    sign: str
    other: "Output | tuple[Class | float, ...]"


@dataclass(frozen=True)
class Junction:
    """Conditions of which all ("and") or any ("or") must hold."""

    word: str
    parts: "tuple[Condition, ...]"


@dataclass(frozen=True)
class Negation:
    """A condition that must not hold."""

    part: "Condition"


Literal: TypeAlias = Class | float
Condition: TypeAlias = Comparison | Junction | Negation
FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def parse_condition(text: str) -> Condition:
    """What the text means. Raises ValueError, in words for its writer, for anything but comparisons and and, or, not.

    The names in it are not known yet, see `condition_problems`.
    """
    try:
        # In parentheses, so that it may go over several lines.
        return _condition(ast.parse(f"(\n{text}\n)", mode="eval").body, DEEPEST)
    except SyntaxError as error:
        raise ValueError(f"not a condition ({error.msg}); write one {EXAMPLE}") from None
    except (RecursionError, MemoryError):
        raise ValueError("nested too deeply") from None


def _condition(node: ast.expr, room: int) -> Condition:
    if not room:
        raise RecursionError
    if isinstance(node, ast.BoolOp):
        word = "and" if isinstance(node.op, ast.And) else "or"
        return Junction(word, tuple(_condition(part, room - 1) for part in node.values))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return Negation(_condition(node.operand, room - 1))
    if isinstance(node, ast.Compare):
        places = [node.left, *node.comparators]
        pairs = tuple(map(_comparison, places, node.ops, places[1:]))
        return pairs[0] if len(pairs) == 1 else Junction("and", pairs)
    raise ValueError(f"{_shown(node)} is no comparison; write one {EXAMPLE}")


def _comparison(left: ast.expr, op: ast.cmpop, right: ast.expr) -> Comparison:
    if type(op) not in SIGNS:
        raise ValueError("'is' is not for conditions; write == or !=")
    sign = SIGNS[type(op)]
    if sign in ("in", "not in"):
        return _membership(_operand(left), sign, right)
    one, other = _operand(left), _operand(right)
    if isinstance(one, Output):
        return Comparison(one, sign, other if isinstance(other, Output) else (other,))
    if isinstance(other, Output):
        return Comparison(other, FLIPPED[sign], (one,))
    raise ValueError(f"{_shown(left)} and {_shown(right)} are both given; compare an output, {EXAMPLE}")


def _membership(one: Output | Literal, sign: str, right: ast.expr) -> Comparison:
    if not isinstance(one, Output):
        raise ValueError(f"{one!r} is given; an output stands before {sign!r}")
    if not isinstance(right, ast.List | ast.Tuple) or not right.elts:
        raise ValueError(f'after {sign!r} give a list, such as ["refund", "cancel"]')
    values = [_operand(element) for element in right.elts]
    literals = tuple(value for value in values if not isinstance(value, Output))
    if len(literals) < len(values):
        raise ValueError(f"{_shown(right)}: the list takes texts, numbers, true and false; put texts in quotes")
    return Comparison(one, sign, literals)


def _operand(node: ast.expr) -> Output | Literal:
    if isinstance(node, ast.Name):
        return TRUTH[node.id] if node.id in TRUTH else Output(node.id)
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "probability":
        name = _operand(node.slice)
        if not isinstance(name, Output | float):
            return Output(output_of_class(name))
        raise ValueError(f'{_shown(node)}: put the class in quotes, as in probability["refund"]')
    return _literal(node)


def _literal(node: ast.expr) -> Literal:
    negative = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
    constant = node.operand if isinstance(node, ast.UnaryOp) and negative else node
    value = constant.value if isinstance(constant, ast.Constant) else None
    if isinstance(value, int | float) and not (negative and isinstance(value, bool)):
        return -value if negative else value
    if isinstance(value, str) and not negative:
        return value
    raise ValueError(f"{_shown(node)} can't be compared; give an output, a text in quotes, a number, true or false")


def _shown(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else f"{text[:60]}..."


def output_of_class(name: Class) -> str:
    """The column with the probability of a class."""
    return f"probability_{name}"


def outputs_of(classes: Classes) -> tuple[str, ...]:
    """Names of the prediction columns; a regression has no classes."""
    return ("label", "probability", *map(output_of_class, classes)) if classes else ("value",)


def condition_problems(condition: Condition, classes: Classes) -> Iterator[str]:
    """A line for each name, class and type in the condition that predictions of these classes don't have.

    A regression has no classes.
    """
    if isinstance(condition, Junction):
        for part in condition.parts:
            yield from condition_problems(part, classes)
    elif isinstance(condition, Negation):
        yield from condition_problems(condition.part, classes)
    else:
        yield from _comparison_problems(condition, classes)


def _comparison_problems(found: Comparison, classes: Classes) -> Iterator[str]:
    names = [output.name for output in (found.output, found.other) if isinstance(output, Output)]
    unknown = [name for name in names if name not in outputs_of(classes)]
    if unknown:
        yield from (_unknown_output(name, classes) for name in unknown)
    elif len(names) > 1 and "label" in names:
        yield "label is compared with classes alone, not with other outputs"
    elif not isinstance(found.other, Output):
        check = _class_problem if names == ["label"] else _number_problem
        yield from filter(None, (check(found, value, classes) for value in found.other))


def _unknown_output(name: str, classes: Classes) -> str:
    if name in classes:
        return f"{name} is a class; put it in quotes"
    return f"there is no output {name!r}{near_match(name, outputs_of(classes))}"


def _class_problem(found: Comparison, value: Literal, classes: Classes) -> str | None:
    kind = type(classes[0])
    words = {str: "a text in quotes", bool: "true or false", int: "a whole number"}
    if type(value) is not kind:
        return f"label is {words[kind]}, which {value!r} is not"
    if found.sign in ORDER:
        return _order_problem(found.sign, value)
    return None if value in classes else f"no class is {value!r}{near_match(str(value), _texts(classes))}"


def _order_problem(sign: str, value: Literal) -> str | None:
    if isinstance(value, bool | str):
        return f"label has no order, so that {sign} says nothing; use == or in"
    return None if abs(value) < 2**63 else f"label is never as large as {value!r}"


def _texts(classes: Sequence[Class]) -> list[str]:
    return [str(name) for name in classes]


def _number_problem(found: Comparison, value: Literal, classes: Classes) -> str | None:
    name = found.output.name
    if isinstance(value, bool | str):
        return f"{name} is a number, which {value!r} is not"
    if classes and not 0 <= value <= 1:
        return f"{name} lies between 0 and 1; {value!r} does not"
    return f"{name} is a float32, for which {value!r} is too large" if abs(value) > LARGEST else None
