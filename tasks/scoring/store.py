"""Folders that a scoring run writes to, on this machine or in an object store: files appear there whole and durable."""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar
from uuid import uuid4

import pyarrow as pa
from pyarrow import fs

from tasks.aside import flush_to_disk
from tasks.data.reach import says_no
from tasks.scoring.follower import Follower, Upload

T = TypeVar("T")
SCRATCH = ".scratch"
WAITS = (0.5, 1, 2, 4, 8, 15, 30)
"""Seconds between attempts to reach an object store."""


class Store(Protocol):
    """A folder by the relative names of its files."""

    def put(self, path: Path, name: str) -> None:
        """Moves a finished file of this machine to its place in one step; what has that name already is replaced."""

    def follower(self, path: Path, name: str) -> Follower:
        """Prepares a file that is still written for its name; it may bring it there."""

    def write(self, name: str, content: bytes) -> None:
        """A small file, whole or not at all."""

    def read(self, name: str) -> bytes | None:
        """The file's bytes; None where there is none."""

    def open(self, name: str) -> pa.NativeFile:
        """The file to read from, at any position. Raises FileNotFoundError where there is none."""

    def names(self, folder: str) -> list[str]:
        """Paths of the files at any depth of a folder, relative to it, sorted; none where it is missing."""

    def scratch(self) -> Path:
        """A folder of this machine to make files in that `put` takes."""

    def remove(self, name: str) -> None:
        """Takes away a file, or a folder with all that is in it; nothing where there is none."""


class LocalStore:
    """A folder of this machine, or of a file system that several share."""

    def __init__(self, root: Path, scratch: str = SCRATCH) -> None:
        """`scratch` is the folder in it where files are made: processes that write at once have one each."""
        self.root, self._scratch = root, scratch

    def put(self, path: Path, name: str) -> None:
        """Flushed to the disk before and after it gets its name."""
        flush_to_disk(path)
        target = self.root / name
        self._ensure(target.parent)
        path.replace(target)
        flush_to_disk(target.parent)

    def follower(self, path: Path, name: str) -> Follower:
        """Has the disk take the file by and by."""
        return Follower(path)

    def write(self, name: str, content: bytes) -> None:
        """Written beside and renamed."""
        aside = self.scratch() / f"new-{uuid4().hex}"
        aside.write_bytes(content)
        self.put(aside, name)

    def read(self, name: str) -> bytes | None:
        """The file's bytes; None where there is none."""
        try:
            return (self.root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open(self, name: str) -> pa.NativeFile:
        """A memory map would grow the process; this reads."""
        return pa.OSFile(str(self.root / name))

    def names(self, folder: str) -> list[str]:
        """Paths of the files at any depth of a folder, relative to it, sorted; none where it is missing."""
        root = self.root / folder
        files = (Path(path, name) for path, _, names in os.walk(root) for name in names)
        return sorted(file.relative_to(root).as_posix() for file in files)

    def scratch(self) -> Path:
        """Hidden in the folder itself, so that a file is renamed and not copied."""
        folder = self.root / self._scratch
        self._ensure(folder)
        return folder

    def remove(self, name: str) -> None:
        """Takes away a file, or a folder with all that is in it; nothing where there is none."""
        path = self.root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def _ensure(self, folder: Path) -> None:
        """The folder, whose name outlives a loss of power as its files do."""
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for path in missing:
            flush_to_disk(path.parent)


class ObjectStore:
    """A prefix in an object store; an upload is visible when it is complete. Outages of some seconds are waited out."""

    def __init__(
        self, filesystem: fs.FileSystem, root: str, scratch: Path, watch: Callable[[], None] = lambda: None
    ) -> None:
        """Changes nothing when `watch` raises."""
        self.filesystem, self.root = filesystem, root.rstrip("/")
        self._scratch, self._watch = scratch, watch

    def watched(self, watch: Callable[[], None]) -> "ObjectStore":
        """The same folder, where nothing is changed when `watch` raises."""
        return ObjectStore(self.filesystem, self.root, self._scratch, watch)

    def put(self, path: Path, name: str) -> None:
        """Uploads the file and removes it here."""
        patiently(lambda: self._copy(path, name))
        path.unlink()

    def follower(self, path: Path, name: str) -> Follower:
        """Uploads the file while it is written; where the store goes away meanwhile, `put` has to do it."""
        return Follower(path, Upload(self.filesystem, self._path(name), self._watch))

    def write(self, name: str, content: bytes) -> None:
        """A small file, whole or not at all."""
        patiently(lambda: self.write_at_once(name, content))

    def read(self, name: str) -> bytes | None:
        """The file's bytes; None where there is none."""
        try:
            return patiently(lambda: self.read_at_once(name))
        except FileNotFoundError:
            return None

    def open(self, name: str) -> pa.NativeFile:
        """The file to read from, at any position."""
        return patiently(lambda: self.filesystem.open_input_file(self._path(name)))

    def names(self, folder: str) -> list[str]:
        """Paths of the files at any depth of a folder, relative to it, sorted; none where it is missing."""
        path = self._path(folder)
        selector = fs.FileSelector(path, allow_not_found=True, recursive=True)
        infos = patiently(lambda: self.filesystem.get_file_info(selector))
        return sorted(info.path.removeprefix(f"{path}/") for info in infos if info.type == fs.FileType.File)

    def scratch(self) -> Path:
        """Where it was told to be."""
        return self._scratch

    def remove(self, name: str) -> None:
        """As a store's own; some stores drop an empty folder at any moment."""
        path = self._path(name)
        kind = patiently(lambda: self.filesystem.get_file_info(path)).type
        if kind == fs.FileType.Directory:
            patiently(lambda: self._remove(self.filesystem.delete_dir, path))
        elif kind == fs.FileType.File:
            patiently(lambda: self._remove(self.filesystem.delete_file, path))

    def write_at_once(self, name: str, content: bytes) -> None:
        """As `write`, and tried once."""
        self._watch()
        with self.filesystem.open_output_stream(self._path(name)) as stream:
            stream.write(content)

    def read_at_once(self, name: str) -> bytes:
        """The file's bytes, tried once. Raises FileNotFoundError where there is none."""
        with self.filesystem.open_input_stream(self._path(name)) as stream:
            return bytes(stream.read())

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    def _copy(self, path: Path, name: str) -> None:
        self._watch()
        fs.copy_files(str(path), self._path(name), fs.LocalFileSystem(), self.filesystem)

    def _remove(self, delete: Callable[[str], None], path: str) -> None:
        self._watch()
        with suppress(FileNotFoundError):
            delete(path)


class WatchedStore:
    """A store that takes files only as long as `watch` does not raise."""

    def __init__(self, store: Store, watch: Callable[[], None]) -> None:
        self._store, self._watch = store, watch
        self.read, self.open, self.names = store.read, store.open, store.names
        self.scratch, self.remove = store.scratch, store.remove

    def follower(self, path: Path, name: str) -> Follower:
        """Leaves all of it to `put`, which watches."""
        return Follower(path)

    def put(self, path: Path, name: str) -> None:
        """Moves a finished file of this machine to its place in one step; what has that name already is replaced."""
        self._watch()
        self._store.put(path, name)

    def write(self, name: str, content: bytes) -> None:
        """A small file, whole or not at all."""
        self._watch()
        self._store.write(name, content)


def patiently(do: Callable[[], T]) -> T:
    """What `do` returns, tried again while a store does not answer. Raises its last error."""
    for wait in WAITS:
        try:
            return do()
        except OSError as error:
            if isinstance(error, FileNotFoundError) or says_no(error):
                raise
            time.sleep(wait)
    return do()
