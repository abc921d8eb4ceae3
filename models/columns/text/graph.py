"""The tokens of a text in ONNX operators: the same keys as `tokens` computes, looked up in the vocabulary.

Characters become codes [N, T] between separators. Words are found as a list [W] over all rows, their pairs and the
pieces of unknown ones follow from it, and what is known is put back into rows. No step asks the machine's locale or
tables of Unicode: the graph holds the codes.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from models.columns.text.characters import ALONE, SEPARATOR, in_every_case
from models.columns.text.statistics import TextStatistics
from models.columns.text.tokens import BASE, FIRST_WORD, INVERSE, LONGEST, PIECES, UNKNOWN_WORD, powers, spelt

END = 1 << 62
"""As the end of a slice: all that follows."""
SHORTEST = 2
"""Ids of a row, zeros included, that there are at least, as in training."""


class Nodes:
    """Nodes in the making; values are named `target`/0, `target`/1 and so on."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.nodes: list[NodeProto] = []

    def add(self, operator: str, *inputs: str, result: str = "", domain: str = "", **attributes: Any) -> str:
        """The name of the result of one more node."""
        output = result or f"{self.target}/{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], domain=domain, **attributes))
        return output

    def constant(self, value: object) -> str:
        """The name of a constant: int64, or strings."""
        array = np.array(value, dtype=object if isinstance(value, list) and isinstance(value[0], str) else np.int64)
        return self.add("Constant", value=numpy_helper.from_array(array))

    def part(self, source: str, start: int, end: int, axis: int = 0) -> str:
        """A slice from `start` to before `end`."""
        return self.add("Slice", source, *(self.constant([number]) for number in (start, end, axis)))

    def column(self, source: str, number: int) -> str:
        """One column [W] of a matrix."""
        return self.add("Gather", source, self.constant(number), axis=1)

    def look_up(self, keys: str, known: Iterable[int], first: int, unknown: int) -> str:
        """Ids of int64 keys."""
        known = list(known) or [0]
        ids = list(range(first, first + len(known)))
        options: dict[str, Any] = {"keys_int64s": known, "values_int64s": ids, "default_int64": unknown}
        return self.add("LabelEncoder", keys, domain="ai.onnx.ml", **options)


def token_nodes(source: str, target: str, statistics: TextStatistics, max_characters: int) -> list[NodeProto]:
    """Nodes that turn texts [N] into ids of their tokens [N, L] int32, in the order of `encode`, 0 behind them."""
    g = Nodes(target)
    codes = _codes(g, source, statistics.characters, max_characters)
    starts, ends = _bounds(g, codes)
    keys = _word_keys(g, codes, starts, ends, max_characters)
    words = g.look_up(keys, spelt(statistics.words)[1].keys.tolist(), FIRST_WORD, UNKNOWN_WORD)
    count, rows = g.add("Shape", codes, end=1), g.column(starts, 0)
    found = [
        (rows, words),
        _pairs(g, rows, keys, statistics),
        _pieces(g, codes, starts, ends, words, statistics),
    ]
    # The last row stands for none: it keeps an empty batch in shape.
    g.add("Cast", g.part(_in_rows(g, count, found), 0, -1), result=target, to=TensorProto.INT32)
    return g.nodes


def _codes(g: Nodes, source: str, characters: str, max_characters: int) -> str:
    """Codes [N + 1, T] of the characters, in front a separator and behind one or more."""
    codes = in_every_case(characters) or {" ": SEPARATOR}
    texts = g.add("Concat", source, g.constant([""]), axis=0)
    options: dict[str, Any] = {"separators": [""], "mark": 0, "mincharnum": 1, "pad_value": ""}
    split = g.add("Tokenizer", texts, domain="com.microsoft", **options)
    options = {"keys_strings": list(codes), "values_int64s": list(codes.values()), "default_int64": SEPARATOR}
    coded = g.add("LabelEncoder", split, domain="ai.onnx.ml", **options)
    return g.add("Pad", g.part(coded, 0, max_characters, axis=1), g.constant([0, 1, 0, 1]), g.constant(SEPARATOR))


def _bounds(g: Nodes, codes: str) -> tuple[str, str]:
    """Row and position [W, 2] where words start and end, in the codes without the first and the last of each row."""
    word = g.add("Greater", codes, g.constant(SEPARATOR))
    attached = g.add("And", word, g.add("Less", codes, g.constant(ALONE)))
    inner, here = g.part(word, 1, -1, axis=1), g.part(attached, 1, -1, axis=1)

    def outermost(start: int, end: int) -> str:
        joined = g.add("And", here, g.part(attached, start, end, axis=1))
        bounds = g.add("And", inner, g.add("Not", joined))
        return g.add("Transpose", g.add("NonZero", bounds), perm=[1, 0])

    return outermost(0, -2), outermost(2, END)


def _word_keys(g: Nodes, codes: str, starts: str, ends: str, max_characters: int) -> str:
    """Keys of the words, [W]."""
    factors = g.add(
        "Slice", g.constant(powers(BASE, max_characters + 2)), g.constant([0]), g.add("Shape", codes, start=1)
    )
    reached = g.add("CumSum", g.add("Mul", codes, factors), g.constant(1))
    before = g.add("GatherND", reached, starts)
    after = g.add("GatherND", g.part(reached, 1, END, axis=1), ends)
    inverse = g.add("Gather", g.constant(powers(INVERSE, max_characters + 2)[1:]), g.column(starts, 1))
    return g.add("Mul", g.add("Sub", after, before), inverse)


def _pairs(g: Nodes, rows: str, keys: str, statistics: TextStatistics) -> tuple[str, str]:
    """Rows and ids of the known pairs of words."""
    product = g.add("Mul", g.part(keys, 0, -1), g.constant(BASE))
    ids = g.look_up(g.add("Add", product, g.part(keys, 1, END)), statistics.pairs, statistics.first_pair, 0)
    here = g.part(rows, 0, -1)
    same = g.add("Equal", here, g.part(rows, 1, END))
    return _known(g, here, g.add("Where", same, ids, g.constant(0)))


def _pieces(g: Nodes, codes: str, starts: str, ends: str, words: str, statistics: TextStatistics) -> tuple[str, str]:
    """Rows and ids of the known pieces of unknown words."""
    unknown = g.add("Equal", words, g.constant(UNKNOWN_WORD))
    first, last = (g.add("Compress", bounds, unknown, axis=0) for bounds in (starts, ends))
    run = _windowed(g, codes, first, last)
    base, rows, found = g.constant(BASE), g.part(first, 0, 1, axis=1), []
    keys = g.part(run, 0, END, axis=1)
    for length in range(2, max(PIECES) + 1):
        grown = g.add("Mul", g.part(keys, 0, -1, axis=1), base)
        keys = g.add("Add", grown, g.part(run, length - 1, END, axis=1))
        found += [keys] if length in PIECES else []
    ids = g.look_up(g.add("Concat", *found, axis=1), statistics.pieces, statistics.first_piece, 0)
    return _known(g, g.add("Expand", rows, g.add("Shape", ids)), ids)


def _windowed(g: Nodes, codes: str, first: str, last: str) -> str:
    """Codes [U, LONGEST + 2] of words, between separators."""
    offset = g.constant([list(range(LONGEST + 2))])
    start, end = (g.part(bounds, 1, END, axis=1) for bounds in (first, last))
    width = g.add("Shape", codes, start=1)
    place = g.add("Min", g.add("Add", start, offset), g.add("Sub", width, g.constant(1)))
    row = g.add("Mul", g.part(first, 0, 1, axis=1), width)
    there = g.add("Gather", g.add("Reshape", codes, g.constant([-1])), g.add("Add", row, place))
    length = g.add("Sub", end, start)
    inside = g.add("LessOrEqual", offset, g.add("Add", length, g.constant(1)))
    inside = g.add("And", inside, g.add("Greater", offset, g.constant(0)))
    return g.add("Where", inside, there, g.constant(SEPARATOR))


def _known(g: Nodes, rows: str, ids: str) -> tuple[str, str]:
    """Rows and ids, as lists, where the id is not 0."""
    flat = g.constant([-1])
    rows, ids = g.add("Reshape", rows, flat), g.add("Reshape", ids, flat)
    some = g.add("Cast", ids, to=TensorProto.BOOL)
    return g.add("Compress", rows, some, axis=0), g.add("Compress", ids, some, axis=0)


def _in_rows(g: Nodes, count: str, found: Sequence[tuple[str, str]]) -> str:
    """Ids [K] of each sort, whose rows ascend, one sort behind the other in a matrix [N + 1, most of a row or more]."""
    zero = numpy_helper.from_array(np.zeros(1, dtype=np.int64))
    filled, places = g.add("ConstantOfShape", count, value=zero), []
    for rows, _ in found:
        column = g.add("Unsqueeze", rows, g.constant([1]))
        ones = g.add("Expand", g.constant(1), g.add("Shape", rows))
        counts = g.add("ScatterND", g.add("ConstantOfShape", count, value=zero), column, ones, reduction="add")
        first = g.add("Sub", filled, g.add("CumSum", counts, g.constant(0), exclusive=1))
        number = g.add("Add", g.add("CumSum", ones, g.constant(0), exclusive=1), g.add("Gather", first, rows))
        places.append(g.add("Concat", column, g.add("Unsqueeze", number, g.constant([1])), axis=1))
        filled = g.add("Add", filled, counts)
    most = g.add("Max", g.add("ReduceMax", filled, keepdims=1), g.constant([SHORTEST]))
    blank = g.add("ConstantOfShape", g.add("Concat", count, most, axis=0), value=zero)
    ids = g.add("Concat", *(ids for _, ids in found), axis=0)
    return g.add("ScatterND", blank, g.add("Concat", *places, axis=0), ids)
