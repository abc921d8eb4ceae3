"""What a scoring run reads: its files, each once and apart from its output, and the columns that go along."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs

from models.contract import Contract
from models.errors import InputError
from tasks.data.batches import SourceFile
from tasks.data.checks import require_columns, require_types
from tasks.data.database import is_database
from tasks.data.fingerprint import fingerprint
from tasks.data.query import Asked, find_query, pin
from tasks.data.sharing import identities, read_twice
from tasks.data.sources import Peek, Unreadable, peek, read_batches, resolve_each, would_find
from tasks.scoring.destination import Destination, RemoteDestination, without_credentials
from tasks.scoring.tabledestination import TableDestination

NOTHING = Asked()
EXACT = 2**53
"""Whole numbers up to here are the same as float64."""
TEXTS, FIRST = ("csv", "jsonl"), 1 << 16
"""Formats of a row a line, and the bytes of such a file that tell how long the lines are."""
SOME_PART = "predictions/part-000000-000000.parquet"
"""A file that an output folder may hold."""
SMALL = 1 << 23
"""Bytes of a JSON-lines file that is looked through whole for the types of its columns."""


@dataclass(frozen=True)
class Sources:
    """All files of a run, each with what it looks like; those that are no tables too."""

    files: tuple[SourceFile | Unreadable, ...]
    fingerprints: tuple[Mapping[str, Any], ...]
    peeks: tuple[Peek | None, ...]
    tables: tuple[tuple[SourceFile, pa.Schema], ...]
    """All that can be read with their columns, those that are not to be read again too."""
    earlier: tuple[Mapping[str, Any], ...] = ()
    """What earlier runs have read, and this one is not to."""

    @property
    def rows(self) -> int | None:
        """Rows of all files where every one states them, else None."""
        stated = [peeked.rows for peeked in self.peeks if peeked]
        return sum(rows for rows in stated if rows is not None) if None not in stated else None


def about_rows(sources: Sources) -> int | None:
    """Rows of all files, for people who wait: those of texts by their sizes and the length of the first lines.

    None where nothing is known of some, such as of compressed files.
    """
    length, found = 0.0, 0.0
    for file, seen, peeked in zip(sources.files, sources.fingerprints, sources.peeks, strict=True):
        stated = peeked.rows if peeked else 0
        if stated is None and isinstance(file, SourceFile):
            length = length or _line_bytes(file)
            if not length:
                return None
            found += seen["size"] / length
        else:
            found += stated or 0
    return round(found)


def _line_bytes(file: SourceFile) -> float:
    """Mean length of the first lines; 0 where they tell nothing."""
    if file.format not in TEXTS or file.path.endswith(".gz"):
        return 0.0
    try:
        with file.filesystem.open_input_stream(file.path, compression=None) as opened:
            some = opened.read(FIRST)
    except OSError:
        # Whoever reads the rows will say so.
        return 0.0
    return float(len(some) / max(some.count(b"\n"), 1))


def look_at(
    inputs: Sequence[str],
    wanted: Destination | RemoteDestination | TableDestination | None,
    partitions: Sequence[str] = (),
    known: Sequence[Mapping[str, Any]] = (),
    asked: Asked = NOTHING,
) -> Sources:
    """The files behind all inputs, each once, in folders of these `partitions` (NAME=VALUE), and queries as `asked`.

    `wanted` is the output, where there is one. Files that look as they do in `known`, the sources of earlier runs, are
    not to be read again. Raises InputError for a file that two inputs reach, for inputs that the output would become a
    part of, and where no file at all can be read.
    """
    if asked != NOTHING and not any(map(is_database, inputs)):
        raise InputError("--query, --key and --version-column are for inputs from databases; no input is one")
    if (partitions or known) and any(map(is_database, inputs)):
        raise InputError(
            "--partition and --new-since are for files, and an input is a database; say which rows by --query, such as "
            "SELECT ... WHERE ..."
        )
    found = _in_partitions([file for uri in inputs for file in _resolved(uri, asked)], partitions)
    tables = [file for file in found if isinstance(file, SourceFile)]
    overlaps = _overlaps(inputs, tables, wanted) if wanted else ()
    problems = [*read_twice(tables, "inputs"), *overlaps]
    if problems:
        raise InputError(*problems)
    looks = [_look(file) for file in found]
    damaged = [file.problem for file, _, _ in looks if isinstance(file, Unreadable)]
    if len(damaged) == len(looks):
        raise InputError(*damaged)
    seen = {source["path"]: source for source in known}
    new = [look for look in looks if look[1] != seen.get(look[1]["path"])]
    files, fingerprints, peeks = zip(*new, strict=True) if new else ((), (), ())
    columns = tuple((file, peeked.schema) for file, _, peeked in looks if isinstance(file, SourceFile) and peeked)
    read_now = {source["path"] for source in fingerprints}
    earlier = tuple(source for source in seen.values() if source["path"] not in read_now)
    return Sources(files, fingerprints, peeks, columns, earlier)


def _in_partitions(
    files: Sequence[SourceFile | Unreadable], partitions: Sequence[str]
) -> list[SourceFile | Unreadable]:
    wanted: dict[str, set[str]] = {}
    for each in partitions:
        name, equals, value = each.partition("=")
        if not equals:
            raise InputError(f"--partition {each}: write NAME=VALUE, such as year=2024")
        wanted.setdefault(name, set()).add(value)
    found = [file for file in files if all(file.partitions.get(name) in values for name, values in wanted.items())]
    if not found:
        raise InputError(f"--partition {' '.join(partitions)}: no file lies in such a folder")
    return found


def _resolved(uri: str, asked: Asked) -> Sequence[SourceFile | Unreadable]:
    return [find_query(uri, asked)] if is_database(uri) else resolve_each(uri)


def _look(file: SourceFile | Unreadable) -> tuple[SourceFile | Unreadable, dict[str, Any], Peek | None]:
    if isinstance(file, SourceFile):
        try:
            return file, {"path": file.path, "format": file.format, **fingerprint(file)}, peek(file)
        except InputError as error:
            file = Unreadable(file.source, file.path, str(error), file.partitions)
    return file, {"path": file.path, "problem": file.problem}, None


def pin_sources(sources: Sources, shard_rows: int) -> tuple[Mapping[str, Any], ...]:
    """What the sources look like, queries with the bounds of their shards. Raises InputError for keys that are none."""
    looks = zip(sources.files, sources.fingerprints, strict=True)
    return tuple({**seen, **pin(file, shard_rows)} if isinstance(file, SourceFile) else seen for file, seen in looks)


def settled_schemas(
    sources: Sources, contracts: Sequence[Contract], keep: Sequence[str] | None, sent: Sequence[str] = ()
) -> tuple[pa.Schema, pa.Schema]:
    """Types for all rows of all files, of the input columns that go along and of those that actions send.

    All files must have `sent` and the columns of the `contracts`, the first of which is that of the version whose rows
    these become. Texts are dictionaries where some file is read so.
    """
    tables = sources.tables
    for file, schema in tables:
        for contract in contracts:
            require_columns(contract.raw_columns, schema.names, file.path)
            require_types(schema, {column.name: column.settings for column in contract.columns}, file.path)
        require_columns([*(keep or ()), *sent], schema.names, file.path)
    names = {name for _, schema in tables for name in schema.names}
    kept = names - contracts[0].sensitive if keep is None else set(keep)
    settled = _settled(tables, kept | set(sent))
    return _of(settled, kept), _of(settled, set(sent))


def _of(schema: pa.Schema, names: set[str]) -> pa.Schema:
    return pa.schema([f for f in schema if f.name in names])


def _settled(tables: Sequence[tuple[SourceFile, pa.Schema]], wanted: set[str]) -> pa.Schema:
    chosen = [_chosen(file, schema, wanted) for file, schema in tables]
    coded = {f.name for _, schema in tables for f in schema if pa.types.is_dictionary(f.type)}
    try:
        return _with_dictionaries(pa.unify_schemas(chosen, promote_options="permissive"), coded)
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        raise InputError(
            f"{tables[0][0].source}: its files disagree on a column's type ({str(error).splitlines()[0]})"
        ) from None


def _with_dictionaries(schema: pa.Schema, coded: set[str]) -> pa.Schema:
    texts = [f.name in coded and pa.types.is_string(f.type) for f in schema]
    kind = pa.dictionary(pa.int32(), pa.string())
    return pa.schema([pa.field(f.name, kind) if text else f for f, text in zip(schema, texts, strict=True)])


def _overlaps(
    inputs: Sequence[str], files: Sequence[SourceFile], wanted: Destination | RemoteDestination | TableDestination
) -> Iterator[str]:
    if isinstance(wanted, TableDestination):
        return wanted.overlaps(files)
    return (
        _overlaps_store(files, wanted)
        if isinstance(wanted, RemoteDestination)
        else _overlaps_here(inputs, files, wanted)
    )


def _overlaps_here(inputs: Sequence[str], files: Sequence[SourceFile], wanted: Destination) -> Iterator[str]:
    owner = {identity: file.source for file in files for identity, _ in identities(file)}
    places = {str(path.resolve()) for path in (wanted.output, wanted.predictions, wanted.rejects)}
    for path in sorted(places & owner.keys()):
        yield f"{path}: is an input ({owner[path]}) and would be replaced by the output; choose another output"
    output = wanted.output.resolve()
    for uri in inputs:
        folder = _local(uri)
        if folder and folder.is_dir() and folder in (output, *output.parents):
            yield f"{wanted.output}: lies in the input folder {uri} and would be read from there; choose another place"
        elif folder and not wanted.one_file and would_find(str(folder), f"{output}/{SOME_PART}"):
            yield f"{wanted.output}: lies where the input {uri} looks for files; choose another place"


def _overlaps_store(files: Sequence[SourceFile], wanted: RemoteDestination) -> Iterator[str]:
    """A line for each input of which an output in an object store would become a part, or the other way round."""
    _, root = fs.FileSystem.from_uri(wanted.uri)
    for source in dict.fromkeys(file.source for file in files if not isinstance(file.filesystem, fs.LocalFileSystem)):
        given = fs.FileSystem.from_uri(source)[1].rstrip("/")
        beneath = f"{given}/".startswith(f"{root}/") or f"{root}/".startswith(f"{given}/")
        if beneath or would_find(given, f"{root}/{SOME_PART}"):
            shown = without_credentials(source)
            yield f"{wanted.output}: shares a folder with the input {shown}; choose another place"


def _local(uri: str) -> Path | None:
    if "://" not in uri:
        return Path(uri).expanduser().resolve()
    return Path(fs.FileSystem.from_uri(uri)[1]).resolve() if uri.startswith("file://") else None


def _chosen(file: SourceFile, schema: pa.Schema, wanted: set[str]) -> pa.Schema:
    """The wanted fields in types that hold for the whole file."""
    plain = [pa.field(f.name, _plain(f.type)) for f in schema if f.name in wanted]
    if file.format != "jsonl" or not plain:
        return pa.schema(plain)
    types = _small_types(file, wanted) if _is_small(file) else _widened_types(file, wanted)
    return pa.schema([pa.field(f.name, types.get(f.name, f.type)) for f in plain])


def _plain(kind: pa.DataType) -> pa.DataType:
    """Dictionaries as their values, and Arrow's several text types as one."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind


def _is_small(file: SourceFile) -> bool:
    return file.size <= SMALL and file.path.lower().endswith((".jsonl", ".ndjson", ".json"))


def _small_types(file: SourceFile, wanted: set[str]) -> dict[str, pa.DataType]:
    """The types that all rows fit: numbers of both sorts as float64, everything else that changes as texts."""
    seen: dict[str, pa.DataType] = {}
    for batch in read_batches(file, wanted):
        for f in batch.table.schema:
            seen[f.name] = _common(seen.get(f.name, pa.null()), _plain(f.type))
    return {name: pa.string() if pa.types.is_null(kind) else kind for name, kind in seen.items()}


def _common(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    numbers = {pa.int64(), pa.float64()}
    return pa.float64() if {one, other} == numbers else pa.string()


def _widened_types(file: SourceFile, wanted: set[str]) -> dict[str, pa.DataType]:
    """Types that rows further on in the file fit too, by the first batch: it is too long to be read twice."""
    first = next(read_batches(file, wanted)).table
    return {f.name: _widened(first[f.name]) for f in first.schema}


def _widened(column: pa.ChunkedArray) -> pa.DataType:
    kind = _plain(column.type)
    if pa.types.is_null(kind):
        return pa.string()
    if not pa.types.is_integer(kind):
        return kind
    ends = pc.min_max(column).as_py()
    # Keys with more digits than a float64 has keep them as texts.
    exact = (ends["min"] or 0) >= -EXACT and (ends["max"] or 0) <= EXACT
    return pa.float64() if exact else pa.string()
