"""Where rows come from: files, folders, globs and Hive partitions, local or in an object store, read as one stream.

A folder of pictures or recordings is a table of them. Where there are tables too, they are what is read, unless they
only accompany the files of class folders: each lies in one, which holds more pictures and recordings than tables.
"""

import errno
import fnmatch
import glob
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TypeAlias
from urllib.parse import unquote

import pyarrow as pa
from pyarrow import fs

from models.errors import AbsentError, InputError, OutsideError
from models.problems import shortened
from tasks.data import columnar, delimited, folders, jsonlines, query
from tasks.data.batches import BATCH_ROWS, Format, Malformed, RawBatch, SourceFile, check_names, constant
from tasks.data.reach import is_away, located, outage

__all__ = ["BATCH_ROWS", "Malformed", "Peek", "RawBatch", "SourceFile", "peek", "read_batches", "resolve"]

FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "feather",
    ".arrow": "feather",
    ".ipc": "feather",
}
COMPRESSED = (".gz", ".zst", ".bz2")
MAGIC: dict[bytes, Format] = {b"PAR1": "parquet", b"ARROW1": "feather", b"FEA1": "feather"}
FOREIGN = {
    b"PK\x03\x04": "an Excel or zip file",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"SQLite format 3": "an SQLite database",
}
READERS = {
    "csv": delimited,
    "jsonl": jsonlines,
    "parquet": columnar,
    "feather": columnar,
    "folder": folders,
    "query": query,
}
SEEKABLE = ("parquet", "query")
"""Formats that are read from a row in the middle without reading those before it."""
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Listing:
    """The files of a folder that is a table, and the tables among them that are not read, relative to it."""

    files: tuple[str, ...]
    strays: tuple[str, ...]


Found: TypeAlias = fs.FileInfo | Listing


@dataclass(frozen=True)
class Unreadable:
    """A file that is no table."""

    source: str
    path: str
    problem: str
    partitions: Mapping[str, str | None]


@dataclass(frozen=True)
class Peek:
    """What a file says about itself without being read whole."""

    schema: pa.Schema
    rows: int | None
    """Number of rows where the format states it."""


def resolve(uri: str) -> tuple[SourceFile, ...]:
    """The files behind a file name, folder, glob or object-store URI, in the order of their paths.

    Raises InputError when nothing is there or a file is no table, OutsideError when the store can't be reached.
    """
    return tuple(_required(file) for file in resolve_each(uri))


def resolve_each(uri: str) -> tuple[SourceFile | Unreadable, ...]:
    """As `resolve`, but where a file is no table the reason stands in its place."""
    if "\0" in uri:
        raise InputError(f"{uri!r}: a name of a file can't hold a zero byte")
    filesystem, path = _filesystem(uri)
    found = _matching(filesystem, path)
    if not found:
        raise AbsentError(f"{uri}: no such file, folder or pattern of files")
    try:
        return tuple(_source_file(uri, filesystem, path, found[path]) for path in sorted(found))
    except PermissionError as error:
        raise OutsideError(f"{uri}: not allowed to read it ({error.strerror})") from None


def _required(file: SourceFile | Unreadable) -> SourceFile:
    if isinstance(file, Unreadable):
        raise InputError(file.problem)
    return file


def read_batches(
    file: SourceFile, columns: Collection[str] | None = None, first: int = 1, last: int | None = None
) -> Iterator[RawBatch]:
    """The rows of a file in batches of at most `BATCH_ROWS`, with only the wanted columns (None: all).

    Rows before number `first` and behind `last` may be left out, which saves reading them; it never changes where
    batches end. A wanted
    column that the file lacks is absent from the tables. Rows that can't be taken apart come as `malformed`.
    Raises InputError that names the file when it is empty, truncated, or not what its name says.
    """
    seek = {"first": first, "last": last} if file.format in SEEKABLE else {}
    try:
        for batch in READERS[file.format].read(file, columns, **seek):
            yield _with_partitions(batch, file, columns)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, pa.ArrowKeyError) as error:
        raise InputError(f"{file.path}: can't be read as {file.format} ({_first_line(error)})") from None
    except OSError as error:
        raise _unreadable(file, error) from None


def stops(file: SourceFile, most: int) -> list[int] | None:
    """Numbers of the last rows of the pieces that a file is read in, each of at most `most` rows.

    None where it is not known without reading the file. Raises the same errors as `read_batches`.
    """
    if file.format not in SEEKABLE:
        return None
    try:
        found: list[int] = READERS[file.format].stops(file, most)
        return found
    except OSError as error:
        raise _unreadable(file, error) from None


def peek(file: SourceFile) -> Peek:
    """Column names and Arrow types (partitions included), and the number of rows where the format states it.

    CSV columns are all strings. Raises the same errors as `read_batches`.
    """
    try:
        schema, rows = READERS[file.format].peek(file)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise InputError(f"{file.path}: can't be read as {file.format} ({_first_line(error)})") from None
    except OSError as error:
        raise _unreadable(file, error) from None
    check_names(schema.names, file.path)
    for name in file.partitions:
        if name not in schema.names:
            schema = schema.append(pa.field(name, pa.string()))
    return Peek(schema, rows)


def _filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    if "://" not in uri:
        return fs.LocalFileSystem(), str(Path(uri).expanduser().absolute())
    try:
        return located(uri)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise InputError(f"{uri}: no kind of source that can be read ({_first_line(error)})") from None
    except OSError as error:
        raise OutsideError(f"{uri}: can't be reached ({_first_line(error)})") from None


def _matching(filesystem: fs.FileSystem, path: str) -> dict[str, Found]:
    """By path the file itself, or the data files beneath a folder or behind a pattern."""
    try:
        exact = filesystem.get_file_info(path)
        if exact.type == fs.FileType.File:
            return {exact.path: exact}
        if exact.type == fs.FileType.Directory:
            return _beneath(filesystem, path)
        if not glob.has_magic(path):
            return {}
        infos = filesystem.get_file_info(_expand(filesystem, path))
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(f"{shortened(path)}: too long for the name of a file") from None
        raise OutsideError(f"{path}: can't be reached ({_first_line(error)})") from None
    files: dict[str, Found] = {info.path: info for info in infos if info.type == fs.FileType.File}
    for folder in (info for info in infos if info.type == fs.FileType.Directory):
        files |= _beneath(filesystem, folder.path)
    return files


def _beneath(filesystem: fs.FileSystem, folder: str) -> dict[str, Found]:
    """Files of known formats at any depth, by path; or the pictures and recordings under the folder's own.

    Tables with a dot or underscore in front of their names are bookkeeping of other tools.
    """
    infos = filesystem.get_file_info(fs.FileSelector(folder, recursive=True))
    data = [info for info in infos if info.type == fs.FileType.File and _format_of_name(info.path)]
    tables = {
        path.as_posix(): info for info in data if not _hidden(path := PurePosixPath(info.path).relative_to(folder))
    }
    listed = folders.list_files(folder, infos)
    if listed and folders.are_strays(list(tables), listed):
        return {folder.rstrip("/") + "/": Listing(listed, tuple(sorted(tables)))}
    return {info.path: info for info in tables.values()}


def _hidden(path: PurePosixPath) -> bool:
    return any(part.startswith((".", "_")) and "=" not in part for part in path.parts)


def _expand(filesystem: fs.FileSystem, pattern: str) -> list[str]:
    if isinstance(filesystem, fs.LocalFileSystem):
        return glob.glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    parts = PurePosixPath(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    base = str(PurePosixPath(*parts[:fixed]))
    infos = filesystem.get_file_info(fs.FileSelector(base, recursive=True, allow_not_found=True))
    return [info.path for info in infos if _matches(PurePosixPath(info.path).parts, parts)]


def would_find(pattern: str, path: str) -> bool:
    """Whether a glob finds a file of that path, which need not be there; both are paths of one file system."""
    return glob.has_magic(pattern) and _matches(PurePosixPath(path).parts, PurePosixPath(pattern).parts)


def _matches(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern or not path:
        return not pattern and not path
    if pattern == ("**",):
        return True
    if pattern[0] == "**":
        return _matches(path, pattern[1:]) or _matches(path[1:], pattern)
    return fnmatch.fnmatchcase(path[0], pattern[0]) and _matches(path[1:], pattern[1:])


def _source_file(uri: str, filesystem: fs.FileSystem, path: str, found: Found) -> SourceFile | Unreadable:
    if isinstance(found, Listing):
        count, partitions = len(found.files), _partitions(path + "files")
        return SourceFile(uri, path, filesystem, "folder", partitions, count, found.files, found.strays)
    try:
        form = _format(filesystem, found)
    except InputError as error:
        return Unreadable(uri, path, str(error), _partitions(path))
    return SourceFile(uri, path, filesystem, form, _partitions(path), found.size)


def _format(filesystem: fs.FileSystem, info: fs.FileInfo) -> Format:
    """The format that the file's first bytes, or its name, say."""
    if info.size == 0:
        raise InputError(f"{info.path}: empty file; it has no rows")
    if folders.suffix_of(info.path) in (*folders.PICTURES, *folders.RECORDINGS):
        raise InputError(f"{info.path}: a picture or recording, not a table; give its folder, or a table that names it")
    with filesystem.open_input_stream(info.path, compression=None) as stream:
        head = stream.read(16)
    for magic, what in FOREIGN.items():
        if head.startswith(magic):
            raise InputError(f"{info.path}: {what}, not a table; save it as CSV or Parquet")
    kind = next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), None)
    return kind or _format_of_name(info.path) or ("jsonl" if head.lstrip().startswith(b"{") else "csv")


def _format_of_name(path: str) -> Format | None:
    suffixes = [suffix.lower() for suffix in PurePosixPath(path).suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
        return FORMATS.get(suffixes[-1], "csv") if suffixes else "csv"
    return FORMATS.get(suffixes[-1]) if suffixes else None


def _partitions(path: str) -> dict[str, str | None]:
    """Values of the unbroken run of `name=value` folders right above the file."""
    found: dict[str, str | None] = {}
    for folder in PurePosixPath(path).parents:
        match = re.fullmatch(r"([^=]+)=(.*)", folder.name)
        if not match:
            break
        value = unquote(match[2])
        found[unquote(match[1])] = None if value == NULL_PARTITION else value
    return dict(reversed(found.items()))


def _with_partitions(batch: RawBatch, file: SourceFile, columns: Collection[str] | None) -> RawBatch:
    table = batch.table
    for name, value in file.partitions.items():
        if name not in table.column_names and (columns is None or name in columns):
            table = table.append_column(name, constant(value, len(batch.rows)))
    return batch if table is batch.table else replace(batch, table=table)


def _unreadable(file: SourceFile, error: OSError) -> InputError | OutsideError:
    """Damaged contents are the user's to mend; everything with an error number is the system's."""
    if isinstance(error, FileNotFoundError):
        return InputError(f"{file.path}: the file is gone; it was there when the source was listed")
    if is_away(file.filesystem, file.path, error):
        return outage(file.path, error)
    if error.errno is not None:
        return OutsideError(f"{file.path}: can't be read ({_first_line(error)})")
    return InputError(f"{file.path}: truncated or damaged ({_first_line(error)})")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
