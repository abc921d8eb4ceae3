"""The tokens of a text in ONNX operators: the same keys as `tokens` computes, looked up in the vocabulary.

Characters become codes [N, T] between separators; pieces are windows of them. Words are found as a list [W] over all
rows, and put back into a matrix. No step asks the machine's locale or tables of Unicode: the graph holds the codes.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from models.columns.text.characters import ALONE, SEPARATOR, in_every_case
from models.columns.text.statistics import TextStatistics
from models.columns.text.tokens import BASE, INVERSE, PIECES, powers

UNKNOWN_WORD = 1
END = 1 << 62
"""As the end of a slice: all that follows."""


class Nodes:
    """Nodes in the making; values are named `target`/1, `target`/2 and so on."""

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

    def part(self, source: str, start: int, end: int, axis: int) -> str:
        """A slice from `start` to before `end`."""
        return self.add("Slice", source, *(self.constant([number]) for number in (start, end, axis)))

    def look_up(self, keys: str, known: Iterable[int], first: int, unknown: int) -> str:
        """Ids of int64 keys."""
        known = list(known) or [0]
        ids = list(range(first, first + len(known)))
        options: dict[str, Any] = {"keys_int64s": known, "values_int64s": ids, "default_int64": unknown}
        return self.add("LabelEncoder", keys, domain="ai.onnx.ml", **options)


def token_nodes(source: str, target: str, statistics: TextStatistics, max_characters: int) -> list[NodeProto]:
    """Nodes that turn texts [N] into ids of their known tokens [N, L] int32, 0 where there is none."""
    g = Nodes(target)
    codes = _codes(g, source, statistics.characters, max_characters)
    words = _words(g, codes, statistics, max_characters)
    pieces = [g.look_up(keys, statistics.pieces, statistics.first_piece, 0) for keys in _pieces(g, codes)]
    ids = g.add("Concat", *words, *pieces, axis=1)
    # The last row stands for none: it keeps an empty batch in shape.
    g.add("Cast", g.part(ids, 0, -1, axis=0), result=target, to=TensorProto.INT32)
    return g.nodes


def _codes(g: Nodes, source: str, characters: str, max_characters: int) -> str:
    """Codes [N + 1, T] of the characters, in front a separator and behind one or more."""
    codes = in_every_case(characters) or {" ": SEPARATOR}
    texts = g.add("Concat", source, g.constant([""]), axis=0)
    options: dict[str, Any] = {"separators": [""], "mark": 0, "mincharnum": 1, "pad_value": ""}
    split = g.add("Tokenizer", texts, domain="com.microsoft", **options)
    options = {"keys_strings": list(codes), "values_int64s": list(codes.values()), "default_int64": SEPARATOR}
    coded = g.add("LabelEncoder", split, domain="ai.onnx.ml", **options)
    cut = g.part(coded, 0, max_characters, axis=1)
    return g.add("Pad", cut, g.constant([0, 1, 0, max(PIECES) - 1]), g.constant(SEPARATOR))


def _pieces(g: Nodes, codes: str) -> list[str]:
    """Keys [N + 1, T - n + 1] of all runs of n codes, for each n."""
    keys: list[str] = []
    base, run = g.constant(BASE), g.part(codes, 0, 1 - max(PIECES), axis=1)
    for offset in range(1, max(PIECES)):
        end = offset + 1 - max(PIECES) or END
        run = g.add("Add", g.add("Mul", run, base), g.part(codes, offset, end, axis=1))
        if offset + 1 in PIECES:
            keys.append(run)
    return keys


def _words(g: Nodes, codes: str, statistics: TextStatistics, max_characters: int) -> tuple[str, str]:
    """Ids of words and of their pairs, [N + 1, W] each."""
    starts, ends, marks = _bounds(g, codes)
    keys = _word_keys(g, codes, starts, ends, max_characters)
    words = g.look_up(keys, statistics.words, 2, UNKNOWN_WORD)
    left, right = g.part(keys, 0, -1, axis=0), g.part(keys, 1, END, axis=0)
    pair_keys = g.add("Add", g.add("Mul", left, g.constant(BASE)), right)
    known = g.look_up(pair_keys, statistics.pairs, statistics.first_pair, 0)
    rows = g.part(starts, 0, 1, axis=1)
    same = g.add("Equal", g.part(rows, 0, -1, axis=0), g.part(rows, 1, END, axis=0))
    same = g.add("Squeeze", same, g.constant([1]))
    pairs = g.add("Where", same, known, g.constant(0))
    places, blank = _places(g, marks, starts, rows)
    behind = g.part(places, 1, END, axis=0)
    return g.add("ScatterND", blank, places, words), g.add("ScatterND", blank, behind, pairs)


def _bounds(g: Nodes, codes: str) -> tuple[str, str, str]:
    """Row and position [W, 2] in the inner codes where words start and end, and a mask of the starts.

    Inner are all codes but the first and the last of each row.
    """
    word = g.add("Greater", codes, g.constant(SEPARATOR))
    attached = g.add("And", word, g.add("Less", codes, g.constant(ALONE)))
    inner, here = g.part(word, 1, -1, axis=1), g.part(attached, 1, -1, axis=1)

    def outermost(start: int, end: int) -> str:
        joined = g.add("And", here, g.part(attached, start, end, axis=1))
        return g.add("And", inner, g.add("Not", joined))

    starts, ends = outermost(0, -2), outermost(2, END)
    positions = [g.add("Transpose", g.add("NonZero", bounds), perm=[1, 0]) for bounds in (starts, ends)]
    return positions[0], positions[1], starts


def _word_keys(g: Nodes, codes: str, starts: str, ends: str, max_characters: int) -> str:
    """Keys of the words, [W]."""
    size = max_characters + max(PIECES)
    factors = g.constant(powers(BASE, size))
    width = g.add("Shape", codes, start=1)
    row = g.add("Slice", factors, g.constant([0]), width)
    reached = g.add("CumSum", g.add("Mul", codes, row), g.constant(1))
    before = g.add("GatherND", reached, starts)
    after = g.add("GatherND", g.part(reached, 1, END, axis=1), ends)
    column = g.add("Squeeze", g.part(starts, 1, 2, axis=1), g.constant([1]))
    inverse = g.add("Gather", g.constant(powers(INVERSE, size + 1)[1:]), column)
    return g.add("Mul", g.add("Sub", after, before), inverse)


def _places(g: Nodes, marks: str, starts: str, rows: str) -> tuple[str, str]:
    """Row and number within the row of each word, [W, 2], and zeros [N + 1, most words of a row]."""
    counted = g.add("CumSum", g.add("Cast", marks, to=TensorProto.INT64), g.constant(1))
    number = g.add("Sub", g.add("GatherND", counted, starts), g.constant(1))
    places = g.add("Concat", rows, g.add("Unsqueeze", number, g.constant([1])), axis=1)
    most = g.add("Reshape", g.add("ReduceMax", counted, keepdims=0), g.constant([1]))
    shape = g.add("Concat", g.add("Shape", counted, end=1), most, axis=0)
    zero = numpy_helper.from_array(np.zeros(1, dtype=np.int64))
    return places, g.add("ConstantOfShape", shape, value=zero)
