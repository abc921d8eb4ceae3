"""Windows that rows hold themselves, each as a list of numbers with the newest last, as live requests are logged."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.columns.cells import as_array, as_fixed, is_number_list
from models.columns.number.feed import LARGEST
from tasks.data.batches import RawBatch


def hold_windows(batch: RawBatch, lengths: Mapping[str, int]) -> bool:
    """Whether the columns of all channels are lists; `lengths` are rows of a window by channel."""
    columns = set(batch.table.column_names)
    return all(name in columns and is_number_list(batch.table.schema.field(name).type) for name in lengths)


def with_held_windows(batch: RawBatch, lengths: Mapping[str, int]) -> RawBatch:
    """The batch with what its lists hold under `gathered`."""
    found = {name: _windows(as_array(batch.table[name]), length) for name, length in lengths.items()}
    return replace(batch, gathered={**batch.gathered, **found})


def _windows(lists: pa.Array, length: int) -> pa.StructArray:
    """As the kind of series takes them: null where a list is, and refused where it has another length."""
    known = np.asarray(lists.is_valid().to_numpy(zero_copy_only=False), bool)
    sizes = np.asarray(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False))
    fitting = known & (sizes == length)
    numbers = pc.list_flatten(lists.filter(pa.array(fitting))).cast(pa.float64(), safe=False)
    windows = np.full((len(lists), length), np.nan, np.float64)
    windows[fitting] = np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64).reshape(-1, length)
    infinite = np.asarray((np.abs(windows) > LARGEST).any(axis=1))
    content = as_fixed(np.where(infinite[:, None], np.nan, windows).astype("<f4"), fitting & ~infinite)
    reasons = np.full(len(lists), None, dtype=object)
    reasons[known & ~fitting] = f"a window is a list of {length} numbers"
    reasons[infinite] = "not finite"
    return pa.StructArray.from_arrays([content, pa.array(reasons, pa.string())], ["content", "failure"])
