"""The classes of a target, in the order of the probabilities."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.classes import Class, Classes, typed
from models.columns.cells import as_array
from models.errors import InputError
from models.sections import Target, Task


def order_classes(target: Target, rows: pa.Table, training: NDArray[np.bool_], task: Task) -> Classes:
    """The classes sorted; of a binary target the positive one last: the stated one, or the rarer in training.

    `rows` holds the target's column, `training` masks the training rows. Empty for a regression. Raises InputError when
    the stated positive class does not occur.
    """
    if task == "regression":
        return ()
    column = as_array(rows.column(target.column))
    counts = {c["values"]: c["counts"] for c in pc.value_counts(column.filter(pa.array(training))).to_pylist()}
    names = sorted(pc.unique(column.dictionary_decode()).to_pylist())
    if task == "binary":
        positive = _positive(target, names, counts)
        names = [*(name for name in names if name != positive), positive]
        return typed(names)
    return tuple(sorted(typed(names), key=_as_is))


def _as_is(name: Class) -> Any:
    """Sort key: classes of one target have one type, which the type checker can't know."""
    return name


def _positive(target: Target, names: list[str], counts: dict[str, int]) -> str:
    if target.positive is not None:
        if target.positive not in names:
            known = ", ".join(map(repr, names))
            raise InputError(f"target.positive: {target.positive!r} does not occur; {target.column!r} has {known}")
        return target.positive
    # Equally frequent classes: the later in the alphabet, so that 1, true and yes are positive.
    return min(names, key=lambda name: (counts.get(name, 0), -names.index(name)))
