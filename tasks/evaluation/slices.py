"""How well parts of the rows are served: by the values of a category, or by ranges of a number or date."""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.columns.cells import as_array
from tasks.data.layout import display_name
from tasks.evaluation.metrics import compute_metrics
from tasks.evaluation.scored import Floats, Indices, Scored

Mask = NDArray[np.bool_]

MOST_SLICES = 12
FEWEST_ROWS = 20
"""Values with fewer rows are put together: a metric of a handful of rows says nothing."""
BINS = 4
COLUMNS_BY_DEFAULT = 4


@dataclass(frozen=True)
class Slice:
    """One part of the rows and its metrics; a metric that the part can't define is missing."""

    column: str
    name: str
    rows: int
    metrics: dict[str, float]


def evaluate_slices(
    scored: Scored, table: pa.Table, columns: Sequence[str], names: Sequence[str], sensitive: Collection[str] = ()
) -> list[Slice]:
    """The named metrics of each slice of each column; row i of `table` is row i of `scored`."""
    return [
        Slice(display_name(column), name, int(rows.sum()), compute_metrics(scored.take(rows), names))
        for column in columns
        for name, rows in slice_rows(table, column, sensitive=column in sensitive).items()
    ]


def slice_rows(table: pa.Table, column: str, *, sensitive: bool = False) -> dict[str, Mask]:
    """Masks [N] that share out all rows by a column: at most 12, empty ones left out.

    Values of a category or boolean, the rare ones together; quantile bins of a number or date. Missing values are a
    slice of their own. The names of a sensitive column's slices don't show its values.
    """
    values = as_array(table.column(column))
    codes, names = _groups(values) if _is_group(values.type) else _bins(values)
    known = np.asarray(values.is_valid().to_numpy(zero_copy_only=False), dtype=bool) & (codes >= 0)
    if sensitive:
        names = [f"value {position}" for position in range(1, len(names) + 1)]
    found = {name: known & (codes == code) for code, name in enumerate(names)}
    taken = "missing" if "missing" not in found else "no value"
    return {name: rows for name, rows in (found | {taken: ~known}).items() if rows.any()}


def choose_columns(table: pa.Table, by_importance: Sequence[str], most: int = COLUMNS_BY_DEFAULT) -> list[str]:
    """Columns worth slicing by: the most important groups of 2 to 12 values, else the most important numbers."""
    groups = [name for name in by_importance if _has_few_values(table.column(name))]
    numbers = [name for name in by_importance if name not in groups and _is_ordered(table.column(name).type)]
    return groups[:most] if groups else numbers[: most // 2]


def _is_group(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind) or pa.types.is_boolean(kind) or pa.types.is_string(kind))


def _is_ordered(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_timestamp(kind))


def _has_few_values(column: pa.ChunkedArray) -> bool:
    return (
        _is_group(column.type) and 2 <= pc.count_distinct(pc.drop_null(_text(as_array(column)))).as_py() <= MOST_SLICES
    )


def _text(values: pa.Array) -> pa.Array:
    return values.cast(pa.string())


def _groups(values: pa.Array) -> tuple[Indices, list[str]]:
    """Code of each row, -1 where missing, and the names of the codes: frequent values, then the rest together."""
    encoded = _text(values).dictionary_encode()
    raw = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    counts = np.bincount(raw[raw >= 0], minlength=len(encoded.dictionary))
    order = np.argsort(-counts, kind="stable")
    room = MOST_SLICES - 1
    fits = len(order) < MOST_SLICES
    kept = [int(code) for code in order[: len(order) if fits else room - 1] if counts[code] >= FEWEST_ROWS]
    together = len(order) - len(kept)
    if together == 1 and fits:
        kept, together = [int(code) for code in order], 0
    names = [str(encoded.dictionary[code]) for code in kept]
    target = np.full(len(encoded.dictionary) + 1, len(kept))
    target[kept], target[-1] = np.arange(len(kept)), -1
    return np.asarray(target[raw]), names + ([f"{together} rarer values"] if together else [])


def _bins(values: pa.Array) -> tuple[Indices, list[str]]:
    """Quantile bin of each row and the ranges as names; a bin holds its upper edge."""
    stamps = pa.types.is_timestamp(values.type)
    numbers = _seconds(values) if stamps else np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False))
    known = numbers[~np.isnan(numbers)]
    if not len(known):
        return np.full(len(numbers), -1), []
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
    edges = edges[edges < known.max()]
    codes = np.where(np.isnan(numbers), -1, np.searchsorted(edges, numbers, side="left"))
    return codes, _ranges([_date(edge) for edge in edges.tolist()] if stamps else _numbers(edges.tolist()))


def _ranges(edges: list[str]) -> list[str]:
    if not edges:
        return ["all"]
    between = [f"{low} to {high}" for low, high in itertools.pairwise(edges)]
    return [f"up to {edges[0]}", *between, f"above {edges[-1]}"]


def _seconds(values: pa.Array) -> Floats:
    microseconds = values.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).cast(pa.float64())
    return np.asarray(microseconds.to_numpy(zero_copy_only=False)) / 1e6


def _numbers(edges: list[float]) -> list[str]:
    """As few digits as tell the edges apart."""
    written = ([f"{edge:.{digits}g}" for edge in edges] for digits in range(3, 18))
    return next(names for names in written if len(set(names)) == len(names))


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
