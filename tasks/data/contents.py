"""Contents of the files that a column names: pictures and recordings, fetched in parallel, a bounded number at once.

What can't be fetched is a reason instead, so that its row becomes a reject like any other.
"""

import os
import posixpath
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import numpy as np
import pyarrow as pa
from pyarrow import fs

from models.columns import KINDS, ColumnSettings
from models.columns.cells import as_array, is_text, mask_missing, plain
from models.columns.kind import FileSettings
from tasks.data.batches import RawBatch, SourceFile

BYTES_AT_ONCE = 1 << 25
"""Of values as the graph takes them, and of files."""
ROWS_AT_ONCE = 256
LARGEST_FILE = 1 << 29
WORKERS = 8
"""Files that are read at the same time; most of the time is waiting."""
SECONDS = 10.0
"""How long a URL may take to answer."""
IN_URLS = "%/:?#[]@!$&'()*+,;=~"
"""Signs that mean something in a URL; others but letters and digits are written as their codes."""


@dataclass(frozen=True)
class Place:
    """Where relative paths begin, and what no path may leave."""

    filesystem: fs.FileSystem
    folder: str
    """Absolute."""


def with_contents(
    batches: Iterator[RawBatch], file: SourceFile, columns: Mapping[str, ColumnSettings], missing: Sequence[str]
) -> Iterator[RawBatch]:
    """The batches, with what their columns of paths and URIs lead to; cut so that large values fit into memory."""
    large = {name: settings for name, settings in columns.items() if isinstance(settings, FileSettings)}
    if not large:
        yield from batches
        return
    rows = max(1, min(ROWS_AT_ONCE, BYTES_AT_ONCE // max(row_bytes(columns), 1)))
    places = {name: _place(file, settings) for name, settings in large.items()}
    with ThreadPoolExecutor(WORKERS) as pool:
        for piece in (piece for batch in batches for piece in _cut(batch, rows)):
            gathered = {
                name: _fetch_all(piece.table[name], place, missing, pool)
                for name, place in places.items()
                if name in piece.table.column_names and is_text(plain(as_array(piece.table[name])).type)
            }
            yield replace(piece, gathered={**piece.gathered, **gathered})


def row_bytes(columns: Mapping[str, ColumnSettings]) -> int:
    """Bytes of one row in the columns whose values have a shape."""
    found = ((KINDS[s.kind], KINDS[s.kind].shape(s)) for s in columns.values())
    return sum(int(np.prod(shape)) * np.dtype(kind.input_type).itemsize for kind, shape in found if shape)


def fetch(paths: pa.Array | pa.ChunkedArray, folder: str, missing: Sequence[str]) -> pa.Array:
    """What the paths lead to: structs of `content` or `failure`, both null where a path is missing.

    Relative ones begin at the local `folder`, which none may leave.
    """
    place = Place(fs.LocalFileSystem(), posixpath.normpath(folder))
    with ThreadPoolExecutor(WORKERS) as pool:
        return _fetch_all(paths, place, missing, pool)


def _place(file: SourceFile, settings: FileSettings) -> Place:
    return Place(file.filesystem, posixpath.normpath(posixpath.join(posixpath.dirname(file.path), settings.folder)))


def _cut(batch: RawBatch, rows: int) -> Iterator[RawBatch]:
    """The batch in pieces of at most so many rows; malformed and skipped ones go with the first."""
    for start in range(0, max(len(batch.rows), 1), rows):
        part = slice(start, start + rows)
        gathered = {name: values[part] for name, values in batch.gathered.items()}
        malformed = batch.malformed if start == 0 else ()
        skipped = batch.skipped if start == 0 else 0
        yield RawBatch(batch.source, batch.rows[part], batch.table[part], malformed, gathered, skipped)


def _fetch_all(
    paths: pa.Array | pa.ChunkedArray, place: Place, missing: Sequence[str], pool: ThreadPoolExecutor
) -> pa.Array:
    texts = mask_missing(plain(as_array(paths)), tuple(missing)).to_pylist()
    found = list(pool.map(lambda path: (None, None) if path is None else _fetch(path, place), texts))
    contents = pa.array([content for content, _ in found], pa.large_binary())
    return pa.StructArray.from_arrays(
        [contents, pa.array([why for _, why in found], pa.string())], ["content", "failure"]
    )


def _fetch(path: str, place: Place) -> tuple[bytes | None, str | None]:
    """Content, or the reason why there is none."""
    try:
        if path.startswith(("http://", "https://")):
            return _download(path)
        filesystem, full = _resolve(path, place)
        if not _within(full, place.folder):
            return None, "outside the folder"
        return _read(filesystem, full)
    except FileNotFoundError:
        return None, "no such file"
    except PermissionError:
        return None, "not allowed to read the file"
    except (OSError, ValueError, pa.ArrowException):
        return None, "the file can't be read"


def _resolve(path: str, place: Place) -> tuple[fs.FileSystem, str]:
    if "\0" in path:
        raise FileNotFoundError(path)
    if "://" in path:
        filesystem, full = fs.FileSystem.from_uri(path)
        return filesystem, posixpath.normpath(full)
    return place.filesystem, posixpath.normpath(posixpath.join(place.folder, path))


def _within(path: str, folder: str) -> bool:
    return folder in ("/", ".") or path.startswith(folder.rstrip("/") + "/")


def _read(filesystem: fs.FileSystem, path: str) -> tuple[bytes | None, str | None]:
    if isinstance(filesystem, fs.LocalFileSystem):
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - as below; a pipe keeps who opens it waiting
            return None, "not a file"
        with open(path, "rb") as file:  # noqa: PTH123 - a third of the time of Path.open
            content = file.read(LARGEST_FILE + 1)
    else:
        with filesystem.open_input_file(path) as stream:
            content = stream.read(LARGEST_FILE + 1)
    return (content, None) if len(content) <= LARGEST_FILE else (None, "too large a file")


def _download(url: str) -> tuple[bytes | None, str | None]:
    try:
        written = Request(quote(url, safe=IN_URLS), headers={"User-Agent": "perennial"})
        with urlopen(written, timeout=SECONDS) as answer:
            content: bytes = answer.read(LARGEST_FILE + 1)
    except HTTPError as error:
        return None, f"the URL answers {error.code}"
    except (URLError, HTTPException, OSError, ValueError):
        return None, "the URL does not answer"
    return (content, None) if len(content) <= LARGEST_FILE else (None, "too large a file")
