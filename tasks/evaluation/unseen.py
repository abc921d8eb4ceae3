"""The rows that a graph is judged on: small values in one table, large ones read when a few of them are asked for."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from models.columns import KINDS, ColumnSettings
from models.columns.cells import as_array
from models.columns.kind import Mask
from models.contract import Contract
from tasks.data.manifest import Snapshot
from tasks.data.rows import chosen_rows, masked_batches, no_rows
from tasks.evaluation.scored import Indices, Scored, joined

Predict = Callable[[pa.Table], Scored]
"""What the graph says about the rows of a snapshot table, beside their truth."""
Take = Callable[[Indices], pa.Table]
"""The rows at some positions, as the snapshot has them, in the order of the positions."""


@dataclass(frozen=True)
class Unseen:
    """N rows that nothing was learnt from, and what the graph says about them."""

    table: pa.Table
    """The rows, with numbers that stand for them in place of large values, see `summarised`."""
    scored: Scored
    nbytes: int
    """Of the rows as the snapshot has them."""
    take: Take

    def __len__(self) -> int:
        return len(self.table)

    def affordable(self, nbytes: int) -> int:
        """How many rows have so many bytes, at least 1."""
        return max(1, nbytes * len(self) // max(self.nbytes, 1))

    def sample(self, rows: int, generator: np.random.Generator) -> pa.Table:
        """So many rows, at most all, drawn at random; in the order in which they are."""
        drawn = generator.choice(len(self), size=min(rows, len(self)), replace=False)
        return self.take(np.sort(drawn))


def unseen_rows(snapshot: Snapshot, mask: Mask, predict: Predict, contract: Contract) -> Unseen:
    """The rows of a snapshot that `mask` [N] marks."""
    pieces = masked_batches(snapshot, mask) if mask.any() else [no_rows(snapshot)]
    return look_through(pieces, predict, contract, lambda rows: chosen_rows(snapshot, mask, rows))


def look_through(pieces: Iterable[pa.Table], predict: Predict, contract: Contract, take: Take) -> Unseen:
    """The rows of the pieces, at least one of them, scored in one pass; no piece is kept."""
    columns = {column.name: column.settings for column in contract.columns}
    tables, parts, nbytes = [], [], 0
    for piece in pieces:
        parts.append(predict(piece))
        tables.append(summarised(piece, columns))
        nbytes += piece.nbytes
    return Unseen(pa.concat_tables(tables).unify_dictionaries(), joined(parts), nbytes, take)


def summarised(rows: pa.Table, columns: Mapping[str, ColumnSettings]) -> pa.Table:
    """The rows with the summary of its kind, lists of float32, in place of each value that is large."""
    for name in [name for name, settings in columns.items() if KINDS[settings.kind].shape(settings)]:
        position = rows.column_names.index(name)
        rows = rows.set_column(position, name, _summary(as_array(rows.column(name)), columns[name]))
    return rows


def _summary(values: pa.Array, settings: ColumnSettings) -> pa.FixedSizeListArray:
    numbers = KINDS[settings.kind].summary(values, settings)
    if not numbers.shape[1]:
        numbers = np.full((len(values), 1), np.nan, np.float32)
    flat = pa.array(numbers.ravel(), pa.float32())
    return pa.FixedSizeListArray.from_arrays(flat, type=pa.list_(pa.float32(), numbers.shape[1]))
