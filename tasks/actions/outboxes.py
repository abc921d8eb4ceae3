"""The outboxes of one scoring run: filled shard by shard, delivered at its end, kept while there are dead letters."""

import shutil
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from models.actions import Action
from models.errors import InputError, OutsideError
from tasks.actions.deliver import Delivered, deliver
from tasks.actions.journal import read_rows
from tasks.actions.letters import Parcel
from tasks.actions.outbox import ACTIONS_FILE, OutboxWriter, actions_text, read_actions
from tasks.actions.whole import OpenTable
from tasks.aside import flush_to_disk

ADVICE = "give the command with the PERENNIAL_HOME that it had before, or choose another output"


class Outboxes:
    """A folder with a folder for each action, in which each shard has its file."""

    def __init__(self, folder: Path) -> None:
        """`folder` belongs to one run."""
        self._folder = folder

    def begin(self, actions: Iterable[Action], going_on: bool = False) -> None:
        """Notes what is delivered, and where; where a run is `going_on`, in the folder that it has begun.

        Raises OutsideError where that is not there.
        """
        if going_on:
            self.require_kept()
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / ACTIONS_FILE).write_text(actions_text(actions), encoding="utf-8")

    @property
    def begun(self) -> bool:
        """Whether the folder is the one that the run has begun."""
        return (self._folder / ACTIONS_FILE).exists()

    def require(self) -> None:
        """Passes where the folder is the one that the run has begun. Raises OutsideError otherwise."""
        if not self.begun:
            raise OutsideError(
                f"{self._folder}: a worker on {socket.gethostname()} does not see it; all machines of the Ray cluster "
                "must share the file system that PERENNIAL_HOME is on, since this model has actions"
            )

    def require_kept(self) -> None:
        """Passes where the folder is the one that shards were done with. Raises OutsideError otherwise."""
        if not self.begun:
            raise OutsideError(
                f"{self._folder}: is not there, and with it the rows that are to be acted upon; {ADVICE}"
            )

    def require_rows(self, taken: Mapping[str, int]) -> None:
        """Passes where each action has as many rows as it has taken. Raises OutsideError otherwise."""
        held = {action.name: sum(map(_rows, self._parcels(action))) for action in self._read_actions()}
        for name, rows in held.items():
            if rows != taken.get(name, 0):
                raise OutsideError(
                    f"{self._folder / name}: holds {rows:,} rows, but {taken.get(name, 0):,} were put there; {ADVICE}"
                )

    def shard(self, name: str) -> "ShardOutbox":
        """Takes the rows of one shard."""
        return ShardOutbox(self._folder, name)

    def deliver(self, run_id: str, open_table: OpenTable, again: bool = False) -> list[Delivered]:
        """Delivers what has no receipt, and `again` also what is dead; see `deliver`.

        Raises InputError where there is nothing to deliver `again`, OutsideError where rows wait that are not there.
        """
        if not again:
            self.require_kept()
        return [
            deliver(action, self._parcels(action), run_id, open_table, again=again) for action in self._read_actions()
        ]

    def open_rows(self) -> dict[str, int]:
        """How many rows of each action have neither a receipt nor a dead letter; nothing where none has such rows."""
        counts = {action.name: sum(map(_open_rows, self._parcels(action))) for action in self._read_actions()}
        return {name: count for name, count in counts.items() if count}

    def sweep(self, found: Sequence[Delivered]) -> None:
        """Takes the outboxes away, unless there are dead letters in them."""
        if not any(each.dead for each in found):
            shutil.rmtree(self._folder, ignore_errors=True)

    def dead_letters(self) -> list[Path]:
        """Files of letters that could not be delivered."""
        return sorted(self._folder.glob("*/*.dead.jsonl"))

    def _read_actions(self) -> list[Action]:
        try:
            return read_actions(self._folder)
        except FileNotFoundError:
            raise InputError(
                f"{self._folder}: nothing is left to deliver; all letters of the run have arrived"
            ) from None

    def _parcels(self, action: Action) -> list[Parcel]:
        outboxes = sorted((self._folder / action.name).glob("*.parquet"))
        return [
            Parcel(box.stem, box, box.with_suffix(".receipts.jsonl"), box.with_suffix(".dead.jsonl"))
            for box in outboxes
        ]


def _open_rows(parcel: Parcel) -> int:
    receipts, dead = read_rows(parcel.receipts), read_rows(parcel.dead)
    return _rows(parcel) - sum((dead | receipts).values())


def _rows(parcel: Parcel) -> int:
    return int(pq.read_metadata(parcel.outbox).num_rows)


class ShardOutbox:
    """Rows of one shard on their way to the outboxes."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._own = uuid4().hex
        self._writers: dict[str, OutboxWriter] = {}

    def write(self, taken: Mapping[str, pa.Table]) -> None:
        """Appends the rows that each action takes."""
        for action, table in taken.items():
            if len(table):
                self._writer(action, table.schema).write_table(table)

    def commit(self) -> None:
        """The rows are there for good; a shard that is done again replaces them by the same."""
        for action, writer in self._writers.items():
            writer.close()
            self._aside(action).replace(self._folder / action / f"{self._name}.parquet")
            flush_to_disk(self._folder / action)

    def discard(self) -> None:
        """Nothing of it is left."""
        for action, writer in self._writers.items():
            writer.close()
            self._aside(action).unlink(missing_ok=True)

    def _writer(self, action: str, schema: pa.Schema) -> OutboxWriter:
        if action not in self._writers:
            (self._folder / action).mkdir(exist_ok=True)
            self._writers[action] = OutboxWriter(self._aside(action), schema)
        return self._writers[action]

    def _aside(self, action: str) -> Path:
        return self._folder / action / f".{self._name}.{self._own}.partial"
