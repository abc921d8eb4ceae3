"""CSV, TSV and their kin: delimiter and encoding are found, every cell stays a text, and no row is lost silently."""

import codecs
import csv
import io
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc

from models.errors import InputError
from tasks.data.batches import BATCH_ROWS, Malformed, NoRowsError, RawBatch, SourceFile, check_names, wanted_names

SAMPLE = 1 << 20
LONGEST_HEADER = 100_000
"""Characters that are looked at for delimiter and names; the standard library reads no longer fields."""
BLOCKS = (1 << 23, 1 << 26, 1 << 29)
"""Bytes read at once; a row that is longer makes the reader start again with the next size."""
DELIMITERS = (",", ";", "\t", "|")
FALLBACK = {"utf-8": "cp1252", "cp1252": "latin-1"}
"""What is tried next where bytes behind the sample are of another encoding."""
WRONG_FIELDS = "wrong number of fields"
SHOWN = 2000
"""Characters of a malformed row that are kept."""


@dataclass(frozen=True)
class Dialect:
    """How the bytes of one file become rows."""

    encoding: str
    delimiter: str
    names: tuple[str, ...]


def read(file: SourceFile, columns: Collection[str] | None) -> Iterator[RawBatch]:
    """The rows of the file as columns of strings; rows of another length than the header's come as malformed.

    Raises InputError when there are no rows, no names, or a quote that is never closed.
    """
    dialect = sniff(file)
    done = 0
    attempts = deque([(dialect.encoding, block) for block in BLOCKS])
    while attempts:
        encoding, block = attempts[0]
        try:
            for batch in _parse(file, dialect, encoding, block, columns, done):
                done = max(done, int(batch.rows[-1]) if len(batch.rows) else 0, *(bad.row for bad in batch.malformed))
                yield batch
            break
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            _prepare_retry(file, str(error), encoding, attempts, done)
    if not done:
        raise NoRowsError(f"{file.path}: no rows beneath the header")


def peek(file: SourceFile) -> tuple[pa.Schema, int | None]:
    """The names of the header, all of them strings; the number of rows is not known without reading."""
    return pa.schema([(name, pa.string()) for name in sniff(file).names]), None


def sniff(file: SourceFile) -> Dialect:
    """Encoding, delimiter and header, from the first megabyte. Raises InputError when it is no text."""
    with file.filesystem.open_input_stream(file.path) as stream:
        sample = stream.read(SAMPLE)
    if not sample.strip():
        raise InputError(f"{file.path}: empty file; it has no rows")
    encoding = _encoding(sample, file.path)
    text = codecs.getincrementaldecoder(encoding)(errors="replace").decode(sample)
    lines = [line for line in io.StringIO(text.removeprefix("\ufeff")[:LONGEST_HEADER], newline="") if line.strip()]
    if not lines:
        raise InputError(f"{file.path}: empty file; it has no rows")
    delimiter = _delimiter(lines[:200], tab=not {".tsv", ".tab"}.isdisjoint(PurePosixPath(file.path).suffixes))
    names = tuple(next(csv.reader(lines, delimiter=delimiter)))
    check_names(names, file.path)
    return Dialect(encoding, delimiter, names)


def _encoding(sample: bytes, path: str) -> str:
    """UTF-8 where the bytes allow it, UTF-16 by its mark or its zeros, else the Western European code page."""
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    zeros = sample.count(0)
    if zeros:
        if zeros < len(sample) / 4:
            raise InputError(f"{path}: not a text file (it holds zero bytes)")
        return "utf-16-le" if sample[1::2].count(0) > sample[::2].count(0) else "utf-16-be"
    for encoding in ("utf-8", "cp1252"):
        try:
            codecs.getincrementaldecoder(encoding)().decode(sample)
            return encoding
        except UnicodeDecodeError:
            continue
    return "latin-1"


def _delimiter(lines: list[str], tab: bool) -> str:
    """The mark in the header that gives most lines the same number of fields; a comma where there is none."""
    best, score = ("\t" if tab else ","), 0.0
    for delimiter in [mark for mark in DELIMITERS if mark in lines[0]]:
        lengths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter) if row)
        fields, agreeing = lengths.most_common(1)[0]
        agreement = agreeing / lengths.total() * (1 + fields / 1000) if fields > 1 else 0.0
        if agreement > score:
            best, score = delimiter, agreement
    return best


def _parse(
    file: SourceFile,
    dialect: Dialect,
    encoding: str,
    block: int,
    columns: Collection[str] | None,
    done: int,
) -> Iterator[RawBatch]:
    """Batches of the rows after number `done`."""
    malformed: list[Malformed] = []

    def set_aside(row: pc.InvalidRow) -> str:
        malformed.append(Malformed(row.number - 1, row.text[:SHOWN], WRONG_FIELDS))
        return "skip"

    wanted, last = wanted_names(dialect.names, columns), dialect.names[-1]
    read = [*wanted, *([] if last in wanted else [last])]
    number, tail = 1, ""
    held: tuple[np.ndarray, pa.Table] | None = None
    with _as_utf8(file, encoding) as stream:
        reader = _open(stream, dialect, block, read, set_aside)
        for batch in reader or ():
            rows, number = _row_numbers(number, batch.num_rows, malformed)
            if not len(rows):
                continue
            if held:
                yield from _emit(file.path, *held, malformed, done)
            table = pa.Table.from_batches([batch])
            tail = table[last][-1].as_py()
            # The last row of all may have a quote that is never closed, and so hold all lines behind it.
            end = len(rows) - _has_lines(tail)
            held = (rows[end:], table[end:].select(wanted)) if end < len(rows) else None
            yield from _emit(file.path, rows[:end], table[:end].select(wanted), malformed, done)
    late = [bad for bad in malformed if bad.row > done]
    if late and late[-1].row >= number:
        number, tail, suspect = late[-1].row + 1, late[-1].text, late[-1:]
    else:
        suspect = []
    is_open = _has_lines(tail) and _has_open_quote(file)
    if held and (suspect or not is_open):
        yield from _emit(file.path, *held, malformed, done)
    told = tuple(bad for bad in malformed if bad.row > done and not (is_open and bad in suspect))
    if told:
        nothing = pa.table({name: pa.array([], pa.string()) for name in wanted})
        yield RawBatch(file.path, np.array([], dtype=np.int64), nothing, told)
    if is_open:
        raise InputError(f"{file.path}: row {number - 1}: a quote that is never closed; the lines after it are lost")


@contextmanager
def _as_utf8(file: SourceFile, encoding: str) -> Iterator[pa.NativeFile]:
    """The file's bytes as UTF-8, by way of a temporary file where they are not.

    The reader fetches bytes in threads of its own, which must not call back into Python: a reader that is given up half
    way would keep the process from ending. For the same reason the stream is left to the reader to close.
    """
    stream = file.filesystem.open_input_stream(file.path)
    if encoding == "utf-8":
        yield stream
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    with tempfile.NamedTemporaryFile() as copy:
        while content := stream.read(SAMPLE):
            copy.write(decoder.decode(content).encode())
        copy.write(decoder.decode(b"", final=True).encode())
        copy.flush()
        yield pa.OSFile(copy.name)


def _open(
    stream: pa.NativeFile, dialect: Dialect, block: int, columns: list[str], set_aside: Callable[[pc.InvalidRow], str]
) -> pc.CSVStreamingReader | None:
    """None for a header without rows. Without threads, because only then does a malformed row have its number."""
    parse = pc.ParseOptions(
        delimiter=dialect.delimiter,
        newlines_in_values=True,
        invalid_row_handler=set_aside,
        ignore_empty_lines=len(dialect.names) > 1,
    )
    convert = pc.ConvertOptions(
        column_types={name: pa.string() for name in dialect.names}, strings_can_be_null=False, include_columns=columns
    )
    try:
        return pc.open_csv(stream, pc.ReadOptions(use_threads=False, block_size=block), parse, convert)
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return None
        raise


def _has_lines(cell: str) -> bool:
    """Whether it may have swallowed lines, which only the last column or a malformed row can."""
    return "\n" in cell or "\r" in cell


def _has_open_quote(file: SourceFile) -> bool:
    quotes = 0
    with file.filesystem.open_input_stream(file.path) as stream:
        while content := stream.read(SAMPLE):
            quotes += content.count(b'"')
    return bool(quotes % 2)


def _row_numbers(start: int, count: int, malformed: list[Malformed]) -> tuple[np.ndarray, int]:
    """Numbers of the next `count` good rows, which step over the malformed ones, and the number that follows."""
    bad = np.array([row.row for row in malformed if row.row >= start], dtype=np.int64)
    candidates = np.arange(start, start + count + len(bad), dtype=np.int64)
    rows = candidates[~np.isin(candidates, bad)][:count]
    return rows, int(rows[-1]) + 1 if count else start


def _emit(path: str, rows: np.ndarray, table: pa.Table, malformed: list[Malformed], done: int) -> Iterator[RawBatch]:
    """The batch in pieces, each with the malformed rows that come before its last one."""
    fresh = int(np.searchsorted(rows, done, side="right"))
    for start in range(fresh, len(rows), BATCH_ROWS):
        piece = rows[start : start + BATCH_ROWS]
        before = tuple(bad for bad in malformed if done < bad.row < piece[-1])
        malformed[:] = [bad for bad in malformed if bad.row > piece[-1]]
        yield RawBatch(path, piece, table.slice(start, len(piece)), before)


def _prepare_retry(file: SourceFile, message: str, encoding: str, attempts: deque[tuple[str, int]], done: int) -> None:
    """Leaves the next attempt in front. Raises InputError when there is none."""
    if "straddling" in message:
        attempts.popleft()
        if attempts:
            return
        raise InputError(
            f"{file.path}: after row {done}: a quote that is never closed, or a row of more than {BLOCKS[-1] >> 20} MB"
        )
    if encoding in FALLBACK and ("invalid UTF8" in message or "codec can't" in message):
        attempts[0] = (FALLBACK[encoding], attempts[0][1])
        return
    raise InputError(f"{file.path}: after row {done}: {message.splitlines()[0].rstrip('.')}")
