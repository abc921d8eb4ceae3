"""Where scored rows go: files that appear whole or not at all."""

import csv
import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from models.errors import InputError, OutsideError
from tasks.aside import HeldError, folder_aside, held
from tasks.data.rejects import SCHEMA
from tasks.data.rowgroups import RowGroups
from tasks.scoring.jsontext import json_lines

Format = Literal["parquet", "csv", "jsonl"]
LONGEST_LINE = 1 << 20
"""Characters of a file's first line that are looked at."""
SHOWN = 40
"""Characters of a name that is too long."""
SUFFIXES: dict[str, Format] = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


@dataclass(frozen=True)
class Destination:
    """Final places of predictions and rejects: two files in a folder, or one file and its neighbour."""

    output: Path
    predictions: Path
    rejects: Path
    format: Format


class TableWriter(Protocol):
    """Something that takes tables one after the other."""

    def write_table(self, table: pa.Table) -> None:
        """Appends the rows."""

    def close(self) -> None:
        """Finishes the file."""


def destination(output: Path) -> Destination:
    """Where the rows of an output path go.

    A path with a known suffix is one file, with `NAME.rejects.SUFFIX` beside it; a path without is a folder of Parquet.
    Raises InputError for other suffixes.
    """
    if not output.suffix:
        return Destination(output, output / "predictions.parquet", output / "rejects.parquet", "parquet")
    if output.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{output}: can't write {output.suffix}; use {', '.join(SUFFIXES)}, or a folder's name without a suffix"
        )
    beside = output.with_name(f"{output.stem}.rejects{output.suffix}")
    return Destination(output, output, beside, SUFFIXES[output.suffix.lower()])


def require_writable(schema: pa.Schema, wanted: Destination) -> None:
    """Passes when the output's format can hold the columns. Raises InputError with a line for each that it can't."""
    holds = {"parquet": _in_parquet, "csv": _in_csv, "jsonl": _in_json}[wanted.format]
    problems = [
        f"{wanted.output}: column {f.name!r} holds {f.type}, which {wanted.output.suffix or 'Parquet'} can't; "
        "write .parquet, or name the columns to write with --keep, without it"
        for f in schema
        if not holds(value_type(f.type))
    ]
    if problems:
        raise InputError(*problems)


def _in_parquet(kind: pa.DataType) -> bool:
    return not (pa.types.is_union(kind) or pa.types.is_interval(kind))


def _in_csv(kind: pa.DataType) -> bool:
    return not (pa.types.is_nested(kind) or _is_binary(kind) or pa.types.is_interval(kind))


def _in_json(kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind):
        return all(_in_json(kind.field(i).type) for i in range(kind.num_fields))
    return not (_is_binary(kind) or pa.types.is_interval(kind))


def _is_binary(kind: pa.DataType) -> bool:
    checks = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(check(kind) for check in checks)


def require_free(wanted: Destination, overwrite: bool) -> None:
    """Passes when the output can take its place. Raises InputError with the reason otherwise.

    Rejects without predictions don't count as an output where scoring wrote them: a run that was killed between the
    two leaves them.
    """
    _require_short(wanted.output)
    in_folder = wanted.output != wanted.predictions
    if in_folder and wanted.output.exists():
        _require_own_folder(wanted)
    folders = [path for path in (wanted.predictions, wanted.rejects) if path.is_dir()]
    if folders:
        raise InputError(f"{folders[0]}: a folder stands where a file would be written; choose another output")
    if wanted.predictions.exists() and not overwrite:
        raise InputError(f"{wanted.output}: exists already; choose another output or pass --overwrite")
    if wanted.rejects.exists() and not overwrite and not _are_rejects(wanted.rejects, wanted.format):
        raise InputError(
            f"{wanted.rejects}: exists already, and no scoring run wrote it; choose another output or pass --overwrite"
        )


def _are_rejects(path: Path, form: Format) -> bool:
    """Whether a file has the columns of rejects; a file of JSON lines without lines has none and is taken for them."""
    try:
        if form == "parquet":
            return bool(pq.read_schema(path).names == SCHEMA.names)
        with path.open(encoding="utf-8") as file:
            first = file.readline(LONGEST_LINE)
        if form == "csv":
            return bool(next(csv.reader([first]), []) == SCHEMA.names)
        return not first or bool(list(json.loads(first)) == SCHEMA.names)
    except (pa.ArrowInvalid, ValueError, TypeError):
        return False


def _require_own_folder(wanted: Destination) -> None:
    if not wanted.output.is_dir():
        raise InputError(f"{wanted.output}: is a file; give a folder's name, or a name that ends in a known suffix")
    own = {wanted.predictions.name, wanted.rejects.name}
    partial = f".{_label(wanted)}."
    foreign = sorted(p.name for p in wanted.output.iterdir() if p.name not in own and not p.name.startswith(partial))
    if foreign:
        raise InputError(
            f"{wanted.output}: holds {foreign[0]!r}, which is no output of scoring; choose a folder of its own"
        )


def _label(wanted: Destination) -> str:
    return f"{wanted.output.name}.partial"


@contextmanager
def written_aside(wanted: Destination, overwrite: bool, run_id: str) -> Iterator[Destination]:
    """A hidden destination to write to; what it holds takes the wanted place when the block ends without an error.

    The output is kept to this run meanwhile. Raises InputError when it may not take its place, OutsideError when
    another run writes to it now, and when the disk is full or read-only.
    """
    try:
        with held(wanted.output.with_name(f".{wanted.output.name}.lock"), run_id):
            require_free(wanted, overwrite)
            # Inside a folder that exists, which may be a file system of its own.
            room = wanted.output if wanted.output.is_dir() else wanted.output.parent
            with folder_aside(room, _label(wanted)) as aside:
                # A folder of its own, since that of a temporary folder can be entered by its owner alone.
                whole = aside / "whole"
                whole.mkdir()
                hidden = Destination(whole, whole / wanted.predictions.name, whole / wanted.rejects.name, wanted.format)
                yield hidden
                require_free(wanted, overwrite)
                _publish(hidden, wanted)
    except HeldError as other:
        raise OutsideError(f"{wanted.output}: run {other} writes to it now; wait for it, or stop it first") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(_too_long(wanted.output)) from None
        raise OutsideError(f"{wanted.output}: can't be written ({_reason(error)}); nothing was left behind") from None


def _require_short(output: Path) -> None:
    try:
        output.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(_too_long(output)) from None


def _too_long(output: Path) -> str:
    shown = f"{output.name[:SHOWN]}..."
    return f"{output.parent / shown}: the name is too long for the file system; choose a shorter one"


def _publish(hidden: Destination, wanted: Destination) -> None:
    for path in (hidden.predictions, hidden.rejects, hidden.output):
        _flush_to_disk(path)
    if wanted.output == wanted.predictions or wanted.output.is_dir():
        # Predictions last: whoever sees them finds the rejects there too.
        hidden.rejects.replace(wanted.rejects)
        hidden.predictions.replace(wanted.predictions)
        _flush_to_disk(wanted.predictions.parent)
    else:
        hidden.output.rename(wanted.output)
        _flush_to_disk(wanted.output.parent)


def _flush_to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(error: OSError) -> str:
    return "the disk is full" if error.errno == errno.ENOSPC else str(error.strerror or error).splitlines()[0]


def open_writer(path: Path, schema: pa.Schema, form: Format) -> TableWriter:
    """A writer of tables of one schema."""
    if form == "parquet":
        # Numbers seldom repeat: looking for repetitions takes twice as long as all the rest of writing them.
        texts = [f.name for f in schema if pa.types.is_string(value_type(f.type))]
        # Without Arrow's own schema, texts that are dictionaries here are plain texts to every reader.
        return RowGroups(path, schema, store_schema=False, use_dictionary=texts)
    if form == "csv":
        return CsvWriter(path, schema)
    return JsonLinesWriter(path)


class CsvWriter:
    """Arrow's CSV writer, which takes no dictionaries."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._plain = pa.schema([pa.field(f.name, value_type(f.type)) for f in schema])
        self._writer = pyarrow.csv.CSVWriter(path, self._plain)

    def write_table(self, table: pa.Table) -> None:
        """Appends the rows."""
        self._writer.write_table(table.cast(self._plain))

    def close(self) -> None:
        """Finishes the file."""
        self._writer.close()


class JsonLinesWriter:
    """One JSON object a line, see `json_lines`."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("wb")

    def write_table(self, table: pa.Table) -> None:
        """Appends the rows."""
        for batch in table.to_batches():
            self._file.write(json_lines(batch))

    def close(self) -> None:
        """Finishes the file."""
        self._file.close()


def value_type(kind: pa.DataType) -> pa.DataType:
    """The type of the values, whether a dictionary holds them or not."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def stated_rows(path: Path, form: Format) -> int | None:
    """Rows of a finished file, where its format states them."""
    return int(pq.read_metadata(path).num_rows) if form == "parquet" else None
