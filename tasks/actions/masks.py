"""Which rows meet a condition: whole columns at a time."""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from models.condition import Comparison, Condition, Junction, Literal, Negation, Output

COMPARE: dict[str, Callable[[pa.Array, pa.Array | pa.Scalar], pa.Array]] = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
JOIN = {"and": pc.and_kleene, "or": pc.or_kleene}


def mask_of(condition: Condition, outputs: Mapping[str, pa.Array]) -> pa.Array:
    """Whether each row meets the condition, [N], without nulls.

    As in SQL a comparison with null, or with NaN, is neither true nor false, and such rows are taken only where the
    rest decides. Numbers are compared as the type of the column: 0.9 equals the float32 that is printed as 0.9.
    """
    return _truth(condition, outputs).fill_null(False)


def _truth(condition: Condition, outputs: Mapping[str, pa.Array]) -> pa.Array:
    """Each row's truth; null where it is not known."""
    if isinstance(condition, Junction):
        return reduce(JOIN[condition.word], (_truth(part, outputs) for part in condition.parts))
    if isinstance(condition, Negation):
        return pc.invert(_truth(condition.part, outputs))
    column = outputs[condition.output.name]
    if isinstance(condition.other, Output):
        return COMPARE[condition.sign](_known(column), _known(outputs[condition.other.name]))
    if pa.types.is_dictionary(column.type):
        # Each distinct value once.
        return _compared(condition, condition.other, column.dictionary).take(column.indices)
    return _compared(condition, condition.other, _known(column))


def _known(column: pa.Array) -> pa.Array:
    """The column, with nulls where it is not a number."""
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)


def _compared(found: Comparison, values: Sequence[Literal], column: pa.Array) -> pa.Array:
    if pa.types.is_floating(column.type):
        literals = pa.array([float(value) for value in values]).cast(column.type)
    else:
        literals = pa.array(values, column.type)
    if found.sign in COMPARE:
        return COMPARE[found.sign](column, literals[0])
    # Not is_in, which tells 0.0 from -0.0 and takes null for a value.
    inside = reduce(pc.or_, (pc.equal(column, literal) for literal in literals))
    return inside if found.sign == "in" else pc.invert(inside)
