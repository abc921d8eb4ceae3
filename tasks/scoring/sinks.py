"""Where scored rows go: files that appear whole or not at all."""

import errno
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
from tasks.aside import folder_aside

Format = Literal["parquet", "csv", "jsonl"]
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


@contextmanager
def written_aside(wanted: Destination, overwrite: bool) -> Iterator[Destination]:
    """A hidden destination to write to; what it holds takes the wanted place when the block ends without an error.

    Raises InputError when the output exists and may not be replaced, OutsideError when the disk is full or read-only.
    """
    taken = [path for path in (wanted.output, wanted.predictions, wanted.rejects) if path.exists()]
    if taken and not overwrite:
        raise InputError(f"{taken[0]}: exists already; choose another output or pass --overwrite")
    try:
        with folder_aside(wanted.output.parent, f"{wanted.output.name}.partial") as aside:
            # A folder of its own, since that of a temporary folder can be entered by its owner alone.
            whole = aside / "whole"
            whole.mkdir()
            hidden = Destination(whole, whole / wanted.predictions.name, whole / wanted.rejects.name, wanted.format)
            yield hidden
            _publish(hidden, wanted)
    except OSError as error:
        raise OutsideError(f"{wanted.output}: can't be written ({_reason(error)}); nothing was left behind") from None


def _publish(hidden: Destination, wanted: Destination) -> None:
    for path in (hidden.predictions, hidden.rejects):
        _flush_to_disk(path)
    if wanted.output == wanted.predictions:
        # Predictions last: whoever sees them finds the rejects there too.
        hidden.rejects.replace(wanted.rejects)
        hidden.predictions.replace(wanted.predictions)
    else:
        if wanted.output.exists():
            wanted.output.rename(hidden.output.with_name("replaced"))
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
        texts = [f.name for f in schema if pa.types.is_string(_value_type(f.type))]
        # Without Arrow's own schema, texts that are dictionaries here are plain texts to every reader.
        return pq.ParquetWriter(path, schema, store_schema=False, use_dictionary=texts)  # type: ignore[no-any-return]
    if form == "csv":
        return CsvWriter(path, schema)
    return JsonLinesWriter(path)


class CsvWriter:
    """Arrow's CSV writer, which takes no dictionaries."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._plain = pa.schema([pa.field(f.name, _value_type(f.type)) for f in schema])
        self._writer = pyarrow.csv.CSVWriter(path, self._plain)

    def write_table(self, table: pa.Table) -> None:
        """Appends the rows."""
        self._writer.write_table(table.cast(self._plain))

    def close(self) -> None:
        """Finishes the file."""
        self._writer.close()


class JsonLinesWriter:
    """One JSON object a line, written by pandas."""

    def __init__(self, path: Path) -> None:
        self._file: IO[str] = path.open("w", encoding="utf-8")

    def write_table(self, table: pa.Table) -> None:
        """Appends the rows."""
        table.to_pandas().to_json(self._file, orient="records", lines=True, date_format="iso", force_ascii=False)

    def close(self) -> None:
        """Finishes the file."""
        self._file.close()


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
