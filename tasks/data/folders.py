"""A folder of class folders as a table: one row for each picture or recording beneath it."""

import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa
from pyarrow import fs

from tasks.data.batches import BATCH_ROWS, RawBatch, SourceFile, numbered, wanted_names

PICTURES = ("png", "jpg", "jpeg", "ppm", "pgm", "pbm", "bmp", "webp", "tif", "tiff")
RECORDINGS = ("wav", "flac", "ogg", "mp3")
COLUMNS = ("path", "class", "group")
LAST_NUMBER = re.compile(r"[\W_]*\d+(?=\D*$)")


def read(file: SourceFile, columns: Collection[str] | None) -> Iterator[RawBatch]:
    """The files of the folder by path, as they were when it was listed."""
    wanted = wanted_names(COLUMNS, columns)
    starts = range(0, len(file.listed), BATCH_ROWS)
    return numbered((_rows(file.listed[start : start + BATCH_ROWS]).select(wanted) for start in starts), file.path)


def peek(file: SourceFile) -> tuple[pa.Schema, int | None]:
    """Three columns of strings, and the number of files."""
    return pa.schema([(name, pa.string()) for name in COLUMNS]), len(file.listed)


def list_files(folder: str, infos: Sequence[fs.FileInfo]) -> tuple[str, ...]:
    """Paths, relative to the folder, of the pictures and recordings among all that lies beneath it; sorted."""
    start = len(folder.rstrip("/")) + 1
    names = [info.path[start:] for info in infos if info.type == fs.FileType.File]
    return tuple(sorted(name for name in names if suffix_of(name) in (*PICTURES, *RECORDINGS) and not _hidden(name)))


def are_strays(tables: Sequence[str], files: Sequence[str]) -> bool:
    """Whether tables only accompany the pictures and recordings of class folders, by their relative paths.

    Each lies in a class folder that holds more pictures and recordings than tables, as annotations do. A table beside
    the class folders, or in a folder that is rather one of tables, speaks for the whole.
    """
    pictures, beside = (Counter(posixpath.dirname(path) for path in paths) for paths in (files, tables))
    return all(folder and count < pictures[folder] for folder, count in beside.items())


def tables_passed_over(files: Sequence[SourceFile]) -> list[str]:
    """A line for each folder whose tables are not read."""
    return [
        f"{file.path}: a table of its pictures and recordings; other tables in its class folders are not read: "
        f"{file.strays[0]}" + (f" and {len(file.strays) - 1} more" if len(file.strays) > 1 else "")
        for file in files
        if file.strays
    ]


def suffix_of(path: str) -> str:
    """The ending of a file's name in lower case, without its dot."""
    return posixpath.splitext(path)[1][1:].lower()


def _hidden(path: str) -> bool:
    """Whether a part of the path begins with a dot. An underscore hides nothing: cameras begin names with it."""
    return any(part.startswith(".") for part in path.split("/"))


def _rows(paths: Sequence[str]) -> pa.Table:
    folders = [posixpath.dirname(path) for path in paths]
    classes = [posixpath.basename(folder) or None for folder in folders]
    groups = [posixpath.join(folder, _series_name(path)) for folder, path in zip(folders, paths, strict=True)]
    columns = [pa.array(cells, pa.string()) for cells in (paths, classes, groups)]
    return pa.table(dict(zip(COLUMNS, columns, strict=True)))


def _series_name(path: str) -> str:
    """The file's name without ending and last number, which counts the frames of one track.

    A name that is nothing but a number stays: it counts the files of the whole folder.
    """
    stem = posixpath.splitext(posixpath.basename(path))[0]
    return LAST_NUMBER.sub("", stem) or stem
