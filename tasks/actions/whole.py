"""Whole parcels to a folder or a table: each arrives as one, and once."""

import json
import os
import shutil
from collections.abc import Callable, Container, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from models.actions import Action
from models.errors import InputError, OutsideError
from tasks.actions.letters import Answer, Letter, Parcel, key_of
from tasks.aside import flush_to_disk
from tasks.data.reach import located


class TableTarget(Protocol):
    """A table of a database that takes rows."""

    def append(self, rows: pa.Table, run_id: str, shard: str) -> None:
        """Adds the rows in one transaction; nothing where rows of that run and shard are there already.

        `shard` starts with the action's name, so that two actions may share a table. Raises OutsideError when the
        database can't be reached, InputError when it refuses the rows.
        """


OpenTable: TypeAlias = Callable[[str], AbstractContextManager[TableTarget]]
"""Opens the table behind an address such as sqlite:///shop.db#refunds."""


class WholeParcels:
    """What folders and tables have in common: a parcel is one letter."""

    def __init__(self, action: Action, run_id: str) -> None:
        self._action, self._run_id = action, run_id

    def letters(self, parcel: Parcel, done: Container[str]) -> Iterator[Letter]:
        """The parcel as one letter, unless it is empty or its key is in `done`."""
        rows = pq.read_metadata(parcel.outbox).num_rows
        key = key_of(self._run_id, self._action.name, parcel.shard)
        if rows and key not in done:
            named = {"action": self._action.name, "run_id": self._run_id, "shard": parcel.shard}
            yield Letter(key, rows, json.dumps(named | {"outbox": parcel.outbox.name}))

    def _name(self, parcel: Parcel) -> str:
        return f"{self._action.name}-{parcel.shard}"

    def close(self) -> None:
        """Nothing is held open."""


class Folder(WholeParcels):
    """Copies each parcel to RUN-ACTION-SHARD.parquet, of which a second copy takes the place."""

    def send(self, letter: Letter, parcel: Parcel) -> Answer:
        """Copies; what is seen under the name is always whole."""
        name = f"{self._run_id}-{self._name(parcel)}.parquet"
        try:
            filesystem, folder = _place_of(self._action.to)
            if isinstance(filesystem, fs.LocalFileSystem):
                _copy_here(parcel.outbox, Path(folder) / name)
            else:
                _upload(parcel.outbox, filesystem, f"{folder.rstrip('/')}/{name}")
        except (OSError, pa.ArrowException) as error:
            reason = str(getattr(error, "strerror", None) or error).splitlines()[0]
            return Answer(False, f"can't be written ({reason})", passing=True, silent=True)
        return Answer(True)


class Table(WholeParcels):
    """Appends each parcel to a table."""

    def __init__(self, action: Action, run_id: str, open_table: OpenTable) -> None:
        super().__init__(action, run_id)
        self._open = open_table

    def send(self, letter: Letter, parcel: Parcel) -> Answer:
        """Appends the rows of the parcel."""
        try:
            with self._open(self._action.to) as table:
                table.append(pq.read_table(parcel.outbox), self._run_id, self._name(parcel))
        except OutsideError as error:
            return Answer(False, str(error), passing=True, silent=True)
        except InputError as error:
            return Answer(False, str(error))
        return Answer(True)


def _place_of(place: str) -> tuple[fs.FileSystem, str]:
    """File system and path of a folder."""
    return located(place) if "://" in place else (fs.LocalFileSystem(), place)


def _copy_here(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.partial")
    try:
        with source.open("rb") as read, aside.open("wb") as written:
            shutil.copyfileobj(read, written, 1 << 20)
            written.flush()
            os.fsync(written.fileno())
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    flush_to_disk(target.parent)


def _upload(source: Path, filesystem: fs.FileSystem, target: str) -> None:
    """Object stores show a file when it is whole, but closing it makes it so: it is read before it is opened."""
    content = source.read_bytes()
    with filesystem.open_output_stream(target) as written:
        written.write(content)
