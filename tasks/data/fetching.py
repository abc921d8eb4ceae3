"""One file that a column names: its content, or the reason why there is none."""

import os
import posixpath
import stat
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pyarrow import fs

from tasks.data.download import NO_ANSWER, download, is_url
from tasks.data.reach import opened

LARGEST_FILE = 1 << 27
"""Bytes; several are held at once."""
STORES = ("s3", "gs", "gcs", "abfs", "abfss")
"""Schemes whose paths are the bucket or container, and the key."""
MOST_STORES = 64
SILENT_FILES = 5
"""In a row, after which a server or bucket is asked no more: each costs seconds."""
UNREADABLE, GIVEN_UP = "the file can't be read", f"no answer; given up after {SILENT_FILES} files of this server"
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


class Hosts:
    """Which servers and buckets gave no answer for several files in a row."""

    def __init__(self) -> None:
        self._silent: Counter[str] = Counter()

    def given_up(self, host: str) -> bool:
        """Whether to ask no more."""
        return self._silent[host] >= SILENT_FILES

    def tell(self, host: str, answered: bool) -> None:
        """Remembers what came of a file."""
        self._silent[host] = 0 if answered else self._silent[host] + 1


def fetch(path: str | None, place: Place, hosts: Hosts) -> Fetched:
    """What the path or URI leads to; relative ones begin at the place's folder.

    Paths, and URIs of local files, may not leave the folder; URLs and URIs of stores lead where they say.
    """
    if path is None:
        return None, None
    scheme, _, rest = path.partition("://")
    if not rest or scheme.lower() == "file":
        return _fetch(path, place)
    host = f"{scheme}://{rest.partition('/')[0]}"
    if hosts.given_up(host):
        return None, GIVEN_UP
    found = _fetch(path, place)
    hosts.tell(host, answered=found[1] not in (NO_ANSWER, UNREADABLE))
    return found


def _fetch(path: str, place: Place) -> Fetched:
    try:
        if is_url(path):
            return download(path, LARGEST_FILE)
        if "\0" in path:
            return None, "no such file"
        filesystem, full = _resolve(path, place)
        if not _allowed(path, filesystem, full, place):
            return None, "outside the folder"
        return _read(filesystem, full)
    except FileNotFoundError:
        return None, "no such file"
    except PermissionError:
        return None, "not allowed to read the file"
    except (OSError, ValueError, pa.ArrowException):
        return None, UNREADABLE


def real_path(filesystem: fs.FileSystem, path: str) -> str:
    """The path in one way of writing; without symbolic links, where there are any."""
    return os.path.realpath(path) if isinstance(filesystem, fs.LocalFileSystem) else posixpath.normpath(path)


def _resolve(path: str, place: Place) -> tuple[fs.FileSystem, str]:
    if "://" not in path:
        return place.filesystem, real_path(place.filesystem, posixpath.join(place.folder, path))
    scheme, _, rest = path.partition("://")
    filesystem, full = _place_of(f"{scheme.lower()}://{rest}")
    return filesystem, real_path(filesystem, full)


def _place_of(uri: str) -> tuple[fs.FileSystem, str]:
    """File system and path of a URI; buckets are opened once, since that takes a while."""
    parts = urlsplit(uri)
    if parts.scheme not in STORES:
        return opened(uri)
    filesystem, bucket = _opened(f"{parts.scheme}://{parts.netloc}?{parts.query}")
    return filesystem, f"{bucket.rstrip('/')}{unquote(parts.path)}".lstrip("/")


_opened = lru_cache(MOST_STORES)(opened)


def _allowed(path: str, filesystem: fs.FileSystem, full: str, place: Place) -> bool:
    if "://" in path and not isinstance(filesystem, fs.LocalFileSystem):
        return True
    return type(filesystem) is type(place.filesystem) and _within(full, place.folder)


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
