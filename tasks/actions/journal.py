"""Journals: JSON lines that are only ever added to, each on the disk before anything relies on it."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.errors import OutsideError
from tasks.aside import flush_to_disk

Entry = Mapping[str, Any]


class Journal:
    """The entries of one file, by their keys; a last line that a killed process has not finished does not count."""

    def __init__(self, path: Path) -> None:
        """Raises OutsideError for a line that no such process can have left."""
        self._path = path
        self.rows: dict[str, int] = {}
        """How many rows each key stands for."""
        whole = 0
        for size, entry in _read(path):
            whole += size
            self.rows[entry["key"]] = entry["rows"]
        if path.exists() and path.stat().st_size > whole:
            os.truncate(path, whole)

    def append(self, entries: Sequence[Entry]) -> None:
        """Adds the entries, which are on the disk when this returns. Raises OSError when the disk refuses."""
        if not entries:
            return
        if not self._path.exists():
            create(self._path)
        with self._path.open("ab") as file:
            file.write(_lines(entries))
            file.flush()
            os.fsync(file.fileno())
        self.rows |= {entry["key"]: entry["rows"] for entry in entries}

    def keep(self, keys: frozenset[str]) -> None:
        """Leaves the newest entry of each of these keys; without any there is no file."""
        newest = {entry["key"]: entry for _, entry in _read(self._path) if entry["key"] in keys}
        aside = self._path.with_name(f".{self._path.name}.partial")
        with aside.open("wb") as file:
            file.write(_lines([*newest.values()]))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self._path)
        if not newest:
            self._path.unlink()
        flush_to_disk(self._path.parent)
        self.rows = {key: entry["rows"] for key, entry in newest.items()}


def read_rows(path: Path) -> dict[str, int]:
    """How many rows each key stands for, of a journal that another process may be writing."""
    return {entry["key"]: entry["rows"] for _, entry in _read(path)}


def _read(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The entries with their sizes in bytes."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                entry = json.loads(line)
                entry["key"], entry["rows"]
            except (ValueError, KeyError, TypeError):
                raise OutsideError(
                    f"{path}: line {number} is damaged; remove it, and what it told is sent again"
                ) from None
            yield len(line), entry


def _lines(entries: Sequence[Entry]) -> bytes:
    return b"".join(json.dumps(entry, ensure_ascii=False).encode() + b"\n" for entry in entries)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps the journal at `path`, which is created where it is missing, to this process.

    Raises OutsideError while another process has it.
    """
    # fcntl is missing on Windows, where the platform does not run.
    import fcntl

    if not path.exists():
        create(path)
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutsideError(f"{path}: another process delivers these rows now; wait for it") from None
        yield


def create(path: Path) -> None:
    """An empty file whose name is on the disk when this returns."""
    path.touch()
    flush_to_disk(path.parent)
