"""Where the shards of a run go: parts that are written aside, made durable, put in place and entered in the ledger."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from models.errors import OutsideError, PerennialError
from tasks.scoring.destination import AnyDestination, require_writable
from tasks.scoring.follower import Follower
from tasks.scoring.ledger import RUN_FILE, SHARDS, Entry, Ledger, PartFile, Pinned, as_json
from tasks.scoring.shards import Shard, Span
from tasks.scoring.store import Store
from tasks.scoring.tabledestination import TableDestination
from tasks.scoring.writers import Format, TableWriter, open_writer, stated_rows

PART_SUFFIXES: dict[Format, str] = {"parquet": ".parquet", "csv": ".csv", "jsonl": ".jsonl", "feather": ".feather"}


class Part(Protocol):
    """The rows of one shard on their way out."""

    def write(self, what: str, table: pa.Table) -> int:
        """Appends rows of predictions, rejects or an action; the number of rows that were taken."""

    def commit(self, entry: Entry) -> Entry:
        """The rows are there for good, and the shard is done; all or nothing. The entry with its files."""

    def discard(self) -> None:
        """Nothing of it is left."""


class Takes(Protocol):
    """What takes the shards of a run."""

    def part(self, shard: Shard) -> Part:
        """Takes the rows of a shard."""

    def done(self, span: Span, after: str = "") -> dict[str, Entry]:
        """Those of the shards that are done already, and whose names stand behind `after`."""


class Sink(Takes, Protocol):
    """One output, which no other run writes to."""

    @property
    def wanted(self) -> AnyDestination | TableDestination:
        """What the command named."""

    @property
    def publishing(self) -> bool:
        """Whether all shards are done and the output has taken its place, or was about to."""

    pinned: Pinned | None
    """What a run has pinned here that did not come to its end."""
    predictions: Path | str
    rejects: Path | str

    def require_writable(self, schema: pa.Schema) -> None:
        """Passes when the output can hold the columns. Raises InputError with a line for each that it can't."""

    def begin(self, pinned: Pinned, schemas: Mapping[str, pa.Schema]) -> dict[str, Entry]:
        """The shards that are done already. `schemas` are those of predictions, rejects and actions."""

    def reset(self) -> None:
        """Takes away what an unfinished run has left."""

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Makes the output visible as a whole, with what is known about it."""


class Place(Protocol):
    """Where parts are collected, and become the output."""

    @property
    def store(self) -> Store:
        """Takes the parts."""

    manifest: str
    """Name of the file that tells what the output holds."""

    def prepare(self, entries: Sequence[Entry], schemas: Mapping[str, pa.Schema]) -> list[PartFile]:
        """Makes what the output lacks yet; its files."""

    def move(self) -> None:
        """Puts everything in its place; killed at any step, it can be called again."""

    def clear(self) -> None:
        """Takes away all that is collected."""


class FileSink:
    """Parts are files."""

    def __init__(self, wanted: AnyDestination, place: Place, ledger: Ledger, tell: Callable[[str], None]) -> None:
        """`tell` is told whose the output is."""
        self.pinned = ledger.pinned()
        self.predictions: Path | str = wanted.predictions
        self.rejects: Path | str = wanted.rejects
        self.wanted: AnyDestination = wanted
        self._place, self._ledger, self._tell = place, ledger, tell
        self._schemas: Mapping[str, pa.Schema] = {}

    @property
    def publishing(self) -> bool:
        """Whether all shards are done and the output has taken its place, or was about to."""
        return self._ledger.publishing

    def require_writable(self, schema: pa.Schema) -> None:
        """Passes when the output's format can hold the columns."""
        require_writable(schema, self.wanted)

    def begin(self, pinned: Pinned, schemas: Mapping[str, pa.Schema]) -> dict[str, Entry]:
        """The shards that are done already."""
        self._schemas = schemas
        self._tell(f"run {pinned.run_id}")
        if self.pinned is None:
            # Before the run is there, that it can't be taken for one that only has to be put in its place.
            self._ledger.unpublish()
            self._ledger.pin(pinned)
            self.pinned = pinned
        return self._ledger.done()

    def reset(self) -> None:
        """Takes away what an unfinished run has left."""
        # In this order a kill leaves no shard in the ledger without its files, and nothing old that is published.
        self._ledger.unpublish()
        self._ledger.store.remove(SHARDS)
        self._place.clear()
        self._ledger.store.remove(RUN_FILE)
        self.pinned = None

    def part(self, shard: Shard) -> "FilePart":
        """Takes the rows of a shard."""
        return FilePart(shard.name, self._schemas, self.wanted.format, self._place.store, self._ledger)

    def done(self, span: Span, after: str = "") -> dict[str, Entry]:
        """Those of the shards that are done already, and whose names stand behind `after`."""
        return self._ledger.done(span, after)

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Makes the output visible as a whole; once it has begun to, it comes to its end even after a kill.

        Raises PerennialError where no run has begun, OutsideError where another one has written to the ledger.
        """
        if self.pinned is None:
            raise PerennialError(f"{self.wanted.output}: a run that has not begun can't be finished")
        if not self._ledger.publishing:
            entries = [entry for _, entry in sorted(self._ledger.done().items())]
            _require_own(self.pinned, self._ledger, entries, manifest, str(self.wanted.output))
            files = self._place.prepare(entries, self._schemas)
            self._place.store.write(
                self._place.manifest, as_json({**manifest, "files": [asdict(file) for file in files]})
            )
            self._ledger.publish(self.pinned.run_id)
        self._place.move()


def _require_own(
    pinned: Pinned, ledger: Ledger, entries: Sequence[Entry], manifest: Mapping[str, Any], shown: str
) -> None:
    """Passes when the ledger is that run's, and holds what it counts. Raises OutsideError otherwise."""
    found, held = ledger.pinned(), {entry.shard: asdict(entry)["files"] for entry in entries}
    if found is None or found.run_id != pinned.run_id or held != {s["shard"]: s["files"] for s in manifest["shards"]}:
        raise OutsideError(f"{shown}: another run has written to its ledger; this one, {pinned.run_id}, has ended")


class FilePart:
    """Files of one shard, made in the store's scratch folder."""

    def __init__(
        self, name: str, schemas: Mapping[str, pa.Schema], form: Format, products: Store, ledger: Ledger
    ) -> None:
        self._name, self._schemas, self._form = name, schemas, form
        self._products, self._ledger = products, ledger
        self._writers: dict[str, TableWriter] = {}
        self._followers: dict[str, Follower] = {}
        self._rows: dict[str, int] = {}

    def write(self, what: str, table: pa.Table) -> int:
        """Appends rows; a file begins with its first row."""
        if not len(table):
            return 0
        if what not in self._writers:
            self._writers[what] = open_writer(self._path(what), self._schemas[what], self._form)
            self._followers[what] = self._products.follower(self._path(what), self._name_of(what))
            self._rows[what] = 0
        self._writers[what].write_table(table)
        self._followers[what].follow()
        self._rows[what] += len(table)
        return len(table)

    def commit(self, entry: Entry) -> Entry:
        """Moves the files to their places and enters the shard."""
        files = {}
        for what in list(self._writers):
            self._writers.pop(what).close()
            path = self._path(what)
            name = self._name_of(what)
            _require_rows(path, self._form, self._rows[what], name)
            digest = self._followers[what].finish()
            files[what] = PartFile(name, what, self._rows[what], path.stat().st_size, digest)
            if self._followers[what].arrived:
                path.unlink()
            else:
                self._products.put(path, name)
        done = replace(entry, files=files)
        # A store that goes away may have taken the entry all the same: from here on its files stay.
        self._followers.clear()
        self._ledger.enter(done)
        return done

    def discard(self) -> None:
        """Nothing of it is left."""
        for writer in self._writers.values():
            with suppress(OSError):
                writer.close()
        for what, follower in self._followers.items():
            follower.discard()
            self._path(what).unlink(missing_ok=True)

    def _name_of(self, what: str) -> str:
        return f"{what}/part-{self._name}{PART_SUFFIXES[self._form]}"

    def _path(self, what: str) -> Path:
        return self._products.scratch() / f"{what.replace('/', '-')}-{self._name}"


def _require_rows(path: Path, form: Format, due: int, name: str) -> None:
    """Raises PerennialError where the finished file says that it holds fewer rows, or more."""
    held = stated_rows(path, form)
    if held not in (None, due):
        raise PerennialError(f"{name} holds {held} rows instead of {due}; it was not scored")


def sha256_of(path: Path) -> str:
    """Of the file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
