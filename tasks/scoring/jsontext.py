"""Arrow rows as JSON lines: exact, and a column at a time."""

import datetime
import json
import math
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

TEXT = pa.large_string()
NULL = pa.scalar("null", TEXT)


def json_lines(batch: pa.RecordBatch) -> bytes:
    """One JSON object a row, in UTF-8, whose values read as they are.

    Numbers keep all digits, dates and times are ISO 8601 (those with a time zone in UTC), NaN is null, and infinities,
    which JSON lacks, are the texts "Infinity" and "-Infinity".
    """
    if not batch.num_rows:
        return b""
    if not batch.num_columns:
        return b"{}\n" * int(batch.num_rows)
    pieces: list[Any] = []
    for mark, name, column in zip("{" + "," * batch.num_columns, batch.schema.names, batch.columns, strict=False):
        pieces += [f"{mark}{_dumped(name)}:", _texts(column)]
    lines = _joined(*pieces, "}\n")
    # Without nulls and fresh from Arrow, the values of the array lie one behind the other.
    return bytes(lines.buffers()[2])


def _texts(column: pa.Array) -> pa.Array:
    """Each value as JSON text; no nulls."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _texts(column.dictionary).take(column.indices).fill_null(NULL)
    if pa.types.is_null(kind):
        return pa.repeat(NULL, len(column))
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return column.cast(TEXT).fill_null(NULL)
    if pa.types.is_floating(kind):
        return _floats(column)
    if pa.types.is_date(kind) or pa.types.is_time(kind):
        return _quoted(column.cast(TEXT))
    if pa.types.is_timestamp(kind):
        return _stamps(column)
    if kind in (pa.string(), TEXT, pa.string_view()):
        distinct = column.dictionary_encode()
        dumped = pa.array([_dumped(text) for text in distinct.dictionary.to_pylist()], TEXT)
        return dumped.take(distinct.indices).fill_null(NULL)
    return pa.array([_dumped(cell) for cell in column.to_pylist()], TEXT)


def _floats(column: pa.Array) -> pa.Array:
    """The shortest digits that are read as the same value of the column's type."""
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    texts = column.cast(TEXT)
    whole = pc.equal(column, pc.round(column))
    if pc.any(whole).as_py():
        # Beyond 1e16 or so the text has an exponent.
        whole = pc.and_(whole, pc.invert(pc.match_substring_regex(texts, "[en]")))
        texts = pc.if_else(whole, _joined(texts, ".0"), texts)
    if not pc.all(pc.is_finite(column)).as_py():
        infinite = pc.if_else(pc.greater(column, 0), pa.scalar('"Infinity"', TEXT), pa.scalar('"-Infinity"', TEXT))
        texts = pc.if_else(pc.is_inf(column), infinite, texts)
        texts = pc.if_else(pc.is_nan(column), NULL, texts)
    return texts.fill_null(NULL)


def _stamps(column: pa.Array) -> pa.Array:
    if column.type.tz:
        column = column.cast(pa.timestamp(column.type.unit, "UTC"))
    return _quoted(pc.replace_substring(column.cast(TEXT), " ", "T"))


def _quoted(texts: pa.Array) -> pa.Array:
    return _joined('"', texts, '"').fill_null(NULL)


def _joined(*parts: Any) -> pa.Array:
    """The parts of each row one behind the other; a text stands for itself in every row."""
    pieces = [pa.scalar(part, TEXT) if isinstance(part, str) else part for part in (*parts, "")]
    return pc.binary_join_element_wise(*pieces)


def _dumped(cell: Any) -> str:
    return json.dumps(_plain(cell), ensure_ascii=False)


def _plain(cell: Any) -> Any:
    """What JSON can hold: lists and objects by their parts, moments as ISO 8601, the rest as text."""
    if cell is None or isinstance(cell, bool | int | str):
        return cell
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None if math.isnan(cell) else f"{'-' * (cell < 0)}Infinity"
    if isinstance(cell, dict):
        return {str(key): _plain(value) for key, value in cell.items()}
    if isinstance(cell, list | tuple):
        return [_plain(value) for value in cell]
    return cell.isoformat() if isinstance(cell, datetime.date | datetime.time) else str(cell)
