"""One file that a column names: its content, or the reason why there is none."""

import os
import posixpath
import stat
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pyarrow import fs

from tasks.data.download import download, is_url

LARGEST_FILE = 1 << 29
STORES = ("s3", "gs", "gcs", "abfs", "abfss")
"""Schemes whose paths are the bucket or container, and the key."""
MOST_STORES = 64
Fetched: TypeAlias = tuple[bytes | None, str | None]
"""Content or failure; both None where no file is named."""


@dataclass(frozen=True)
class Place:
    """Where relative paths begin, and what no path may leave."""

    filesystem: fs.FileSystem
    folder: str
    """Absolute; of a local file system without symbolic links."""

    @classmethod
    def at(cls, filesystem: fs.FileSystem, folder: str) -> "Place":
        """The folder, however it is written."""
        return cls(filesystem, real_path(filesystem, folder))


def fetch(path: str | None, place: Place) -> Fetched:
    """What the path or URI leads to; relative ones begin at the place's folder, which none may leave."""
    if path is None:
        return None, None
    try:
        if is_url(path):
            return download(path, LARGEST_FILE)
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


def real_path(filesystem: fs.FileSystem, path: str) -> str:
    """The path in one way of writing; without symbolic links, where there are any."""
    return os.path.realpath(path) if isinstance(filesystem, fs.LocalFileSystem) else posixpath.normpath(path)


def _resolve(path: str, place: Place) -> tuple[fs.FileSystem, str]:
    if "\0" in path:
        raise FileNotFoundError(path)
    if "://" not in path:
        return place.filesystem, real_path(place.filesystem, posixpath.join(place.folder, path))
    scheme, _, rest = path.partition("://")
    filesystem, full = _located(f"{scheme.lower()}://{rest}")
    return filesystem, real_path(filesystem, full)


def _located(uri: str) -> tuple[fs.FileSystem, str]:
    """File system and path of a URI; buckets are opened once, since that takes a while."""
    parts = urlsplit(uri)
    if parts.scheme not in STORES:
        filesystem, path = fs.FileSystem.from_uri(uri)
        return filesystem, path
    filesystem, bucket = _opened(f"{parts.scheme}://{parts.netloc}?{parts.query}")
    return filesystem, f"{bucket.rstrip('/')}{unquote(parts.path)}".lstrip("/")


@lru_cache(MOST_STORES)
def _opened(uri: str) -> tuple[fs.FileSystem, str]:
    filesystem, bucket = fs.FileSystem.from_uri(uri)
    return filesystem, bucket


def _within(path: str, folder: str) -> bool:
    return folder in ("/", ".") or path.startswith(folder.rstrip("/") + "/")


def _read(filesystem: fs.FileSystem, path: str) -> Fetched:
    if isinstance(filesystem, fs.LocalFileSystem):
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - as below; a pipe keeps who opens it waiting
            return None, "not a file"
        with open(path, "rb") as file:  # noqa: PTH123 - a third of the time of Path.open
            content = file.read(LARGEST_FILE + 1)
    else:
        with filesystem.open_input_file(path) as stream:
            content = stream.read(LARGEST_FILE + 1)
    return (content, None) if len(content) <= LARGEST_FILE else (None, "too large a file")
