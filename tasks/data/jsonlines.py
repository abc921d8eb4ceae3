"""JSON lines: one object a line, keys may be missing, types may change from line to line."""

import codecs
import io
import json
import re
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from models.errors import InputError
from tasks.data.batches import BATCH_ROWS, Malformed, NoRowsError, RawBatch, SourceFile, check_names, wanted_names

CHUNK = 1 << 23
NOT_JSON = "not a JSON object"
NESTED = "nested too deeply"
HALF = "holds half of a character"
DEEPEST = 100
"""Lists and objects within each other; some thousands end the process in Arrow's parser."""
EXACT = 2**53
"""From here on a float64 does not hold all whole numbers."""
STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
LONG_INTEGER = re.compile(rb"(?<![\d.eE+])\d{16,}(?![\d.eE])")
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
SHOWN = 2000


def read(file: SourceFile, columns: Collection[str] | None) -> Iterator[RawBatch]:
    """The rows of the file; lines that are no JSON object come as malformed.

    A key that the first chunk knows is null in later chunks without it. Raises InputError for a file without rows.
    """
    start, known, objects = 1, tuple[str, ...](), 0
    for lines in _chunks(file):
        table, rows, malformed = _parse(lines, start)
        objects += len(rows)
        if not table.column_names:
            table = pa.table({name: pa.nulls(len(rows)) for name in known or columns or ()})
        known = known or tuple(table.column_names)
        check_names(table.column_names, file.path)
        for name in known:
            if name not in table.column_names:
                table = table.append_column(name, pa.nulls(len(table)))
        order = [*known, *(name for name in table.column_names if name not in known)]
        table = table.select(wanted_names(order, columns))
        yield from _sliced(RawBatch(file.path, rows, table, malformed))
        start += len(lines)
    if not objects:
        raise _nothing(file, start > 1)


def peek(file: SourceFile) -> tuple[pa.Schema, int | None]:
    """Names and types of the first chunk that has some. Raises InputError for a file without objects."""
    lines: list[bytes] = []
    for lines in _chunks(file):
        schema = _parse(lines, 1)[0].schema
        if schema.names:
            return schema, None
    raise _nothing(file, bool(lines))


def _nothing(file: SourceFile, lines: bool) -> InputError:
    if lines:
        return InputError(f"{file.path}: no line is a JSON object with keys; write one object a line")
    return NoRowsError(f"{file.path}: no rows")


def _chunks(file: SourceFile) -> Iterator[list[bytes]]:
    """Lines that are not blank, in UTF-8, about `CHUNK` bytes of them at a time."""
    rest = b""
    for position, block in enumerate(_blocks(file)):
        if not position:
            _refuse_array(block, file.path)
        whole, newline, rest_of_block = block.rpartition(b"\n")
        if not newline:
            rest += block
            continue
        lines = [line for line in _utf8(rest + whole).split(b"\n") if line.strip()]
        rest = rest_of_block
        if lines:
            yield lines
    if rest.strip():
        yield [_utf8(rest)]


def _blocks(file: SourceFile) -> Iterator[bytes]:
    """The bytes of the file without a mark; UTF-16 and UTF-32 as UTF-8. Raises InputError where they are neither."""
    with file.filesystem.open_input_stream(file.path) as stream:
        block = stream.read(CHUNK)
        encoding = json.detect_encoding(block[:4])
        if encoding.startswith("utf-8"):
            block = block.removeprefix(codecs.BOM_UTF8)
            while block:
                yield block
                block = stream.read(CHUNK)
            return
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            while block:
                yield decoder.decode(block).encode()
                block = stream.read(CHUNK)
            yield decoder.decode(b"", final=True).encode()
        except UnicodeError:
            raise InputError(f"{file.path}: looks like {encoding} and can't be read so; write it in UTF-8") from None


def _utf8(lines: bytes) -> bytes:
    """The lines, with each that is no UTF-8 read in the Western European code page."""
    try:
        lines.decode()
    except UnicodeDecodeError:
        return b"\n".join(map(_from_code_page, lines.split(b"\n")))
    return lines


def _from_code_page(line: bytes) -> bytes:
    for encoding in ("utf-8", "cp1252"):
        try:
            return line.decode(encoding).encode()
        except UnicodeDecodeError:
            continue
    return line.decode("latin-1").encode()


def _refuse_array(block: bytes, path: str) -> None:
    if block.lstrip().startswith(b"["):
        raise InputError(f"{path}: a JSON array, not JSON lines; write one object a line")


def _parse(lines: list[bytes], start: int) -> tuple[pa.Table, np.ndarray, tuple[Malformed, ...]]:
    rows = np.arange(start, start + len(lines), dtype=np.int64)
    data = b"\n".join(lines)
    deep = _too_deep(lines, data)
    table = None if deep else _parse_fast(data)
    if table is not None and len(table) == len(lines) and not _loses_digits(table, data):
        return table, rows, ()
    return _parse_each(lines, rows, deep)


def _too_deep(lines: list[bytes], data: bytes) -> Collection[int]:
    """Positions of lines that are nested too deeply for Arrow; `data` is all of them."""
    if data.count(b"[") + data.count(b"{") <= len(lines) + DEEPEST:
        return ()
    starts = np.cumsum([0, *(len(line) + 1 for line in lines[:-1])])
    openings = np.add.reduceat(_are(data, b"[{").astype(np.int32), starts)
    return {int(i) for i in np.flatnonzero(openings > DEEPEST) if _depth(lines[i]) > DEEPEST}


def _depth(line: bytes) -> int:
    bare = STRING.sub(b"", line)
    return int(np.cumsum(_are(bare, b"[{").astype(np.int64) - _are(bare, b"]}")).max(initial=0))


def _are(data: bytes, marks: bytes) -> np.ndarray:
    codes = np.frombuffer(data, np.uint8)
    return np.isin(codes, list(marks))


def _loses_digits(table: pa.Table, data: bytes) -> bool:
    """Whether Arrow took whole numbers for float64, which hold fewer digits."""
    doubles = [column for column in table.columns if "double" in str(column.type)]
    large = any(pa.types.is_nested(c.type) or pc.any(pc.greater_equal(pc.abs(c), EXACT)).as_py() for c in doubles)
    return large and LONG_INTEGER.search(data) is not None


def _parse_fast(data: bytes) -> pa.Table | None:
    """The table where all lines agree on their types.

    Texts that look like times stay texts, because in the next chunk they may not.
    """
    options = pj.ReadOptions(block_size=len(data) + 1, use_threads=False)
    try:
        table = pj.read_json(io.BytesIO(data), read_options=options)
        stamps = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
        if not stamps:
            return table
        texts = pj.ParseOptions(explicit_schema=pa.schema([(name, pa.string()) for name in stamps]))
        return pj.read_json(io.BytesIO(data), read_options=options, parse_options=texts)
    except pa.ArrowInvalid:
        return None


def _parse_each(
    lines: list[bytes], rows: np.ndarray, deep: Collection[int]
) -> tuple[pa.Table, np.ndarray, tuple[Malformed, ...]]:
    """Line by line: the slow way, for chunks with a damaged line, a key of mixed types or numbers of many digits."""
    objects: list[dict[str, Any]] = []
    good = np.ones(len(lines), dtype=bool)
    malformed: list[Malformed] = []
    for position, line in enumerate(lines):
        parsed = NESTED if position in deep else _parse_line(line)
        if isinstance(parsed, dict):
            objects.append(parsed)
        else:
            good[position] = False
            malformed.append(Malformed(int(rows[position]), line[:SHOWN].decode("utf-8", "replace"), parsed))
    names = list(dict.fromkeys(name for found in objects for name in found))
    table = pa.table({name: _column([found.get(name) for found in objects]) for name in names})
    return table, rows[good], tuple(malformed)


def _parse_line(line: bytes) -> dict[str, Any] | str:
    """The object, or the reason why there is none."""
    try:
        parsed = json.loads(line)
        if SURROGATE.search(line):
            json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return HALF
    except (ValueError, RecursionError):
        return NOT_JSON
    return parsed if isinstance(parsed, dict) else NOT_JSON


def _column(cells: list[Any]) -> pa.Array:
    """The values in one type where they have one, else as texts."""
    try:
        return pa.array(cells)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array(
            [cell if cell is None or isinstance(cell, str) else json.dumps(cell) for cell in cells], pa.string()
        )


def _sliced(batch: RawBatch) -> Iterator[RawBatch]:
    if len(batch.rows) <= BATCH_ROWS:
        yield batch
        return
    bad = np.array([row.row for row in batch.malformed], dtype=np.int64)
    low = 0
    for start in range(0, len(batch.rows), BATCH_ROWS):
        rows = batch.rows[start : start + BATCH_ROWS]
        last = start + BATCH_ROWS >= len(batch.rows)
        high = np.iinfo(np.int64).max if last else int(rows[-1])
        some = tuple(batch.malformed[i] for i in np.flatnonzero((bad > low) & (bad <= high)))
        yield RawBatch(batch.source, rows, batch.table.slice(start, len(rows)), some)
        low = high
