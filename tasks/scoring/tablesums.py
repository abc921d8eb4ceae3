"""What is kept of the rows that a shard has written into tables, to compare them with those found there."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.columns.cells import as_array
from tasks.data.hashing import STEP, Hashes, hash_values, mix
from tasks.scoring.destination import PREDICTIONS, REJECTS

ROWS, CONTENTS = "row_numbers", "contents"
"""Sums over the rows of a shard: of their numbers, and of the hashes of their contents, modulo 2**64."""
STAMPED = ("run_id", "source", "row")
"""Columns of the predictions by which their rows are counted."""
COMPARED = {
    PREDICTIONS: ("label", "probability", "value", "model", "model_version"),
    REJECTS: ("column", "reason", "values"),
}
"""Columns whose values are compared."""


def own_names(what: str, names: Sequence[str]) -> dict[str, str]:
    """What the columns that count and are compared are called, since their own names may have been taken."""
    bases = (*STAMPED, *COMPARED[what]) if what == PREDICTIONS else ("source", "row", *COMPARED[what])
    found = {base: [name for name in names if name.rstrip("_") == base] for base in bases}
    return {base: those[-1] for base, those in found.items() if those}


def hash_contents(numbers: NDArray[np.int64], columns: Sequence[pa.Array | pa.ChunkedArray]) -> Hashes:
    """A hash for each row of its number and its values, the same before and after a database has had them; [N]."""
    found = mix(numbers.astype(np.uint64) + STEP)
    for column in columns:
        found = mix(found + STEP + hash_values(_as_read(column)))
    return found


def sums_of(what: str, table: pa.Table) -> dict[str, int]:
    """What is kept of rows."""
    names = own_names(what, table.column_names)
    numbers = np.asarray(table[names["row"]].cast(pa.int64()), dtype=np.int64)
    hashes = hash_contents(numbers, [table[names[base]] for base in COMPARED[what] if base in names])
    return {ROWS: int(numbers.sum()), CONTENTS: int(hashes.sum(dtype=np.uint64))}


def _as_read(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Whole numbers and truth values as texts of numbers, and what is no number as null, as it is in SQLite."""
    array = as_array(column)
    if pa.types.is_floating(array.type):
        numbers = array.cast(pa.float64())
        return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    return array.cast(pa.string()) if pa.types.is_integer(array.type) else array
