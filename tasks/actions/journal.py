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
        _add(self._path, _lines(entries))
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


def mend(path: Path, aside: Path) -> int:
    """Moves damaged lines of a journal that nobody writes to the end of the file `aside`; how many there were.

    What they told is not known then, so that its rows are sent again. Raises OSError when the disk refuses.
    """
    if not path.exists():
        return 0
    with path.open("rb") as file:
        # A last line that a killed process has not finished is no damage.
        lines = [line for line in file if line.endswith(b"\n")]
    damaged = [line for line in lines if _entry(line) is None]
    if damaged:
        _add(aside, b"".join(damaged))
        mended = path.with_name(f".{path.name}.partial")
        mended.unlink(missing_ok=True)
        _add(mended, b"".join(line for line in lines if _entry(line) is not None))
        mended.replace(path)
        flush_to_disk(path.parent)
    return len(damaged)


def _add(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _entry(line: bytes) -> dict[str, Any] | None:
    """What a line tells; None where it is damaged."""
    try:
        entry: dict[str, Any] = json.loads(line)
        return entry if isinstance(entry["key"], str) and isinstance(entry["rows"], int) else None
    except (ValueError, KeyError, TypeError):
        return None


def _read(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The entries with their sizes in bytes."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            entry = _entry(line)
            if entry is None:
                raise OutsideError(f"{path}: line {number} is damaged; remove it, and what it told is sent again")
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
