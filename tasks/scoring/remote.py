"""An output in an object store is kept to one run; it is valid when its manifest, which is written last, is there."""

import os
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from models.errors import InputError, OutsideError
from tasks.aside import HeldError, folder_aside
from tasks.data.reach import located
from tasks.scoring.destination import MANIFEST, PREDICTIONS, REJECTS, RemoteDestination
from tasks.scoring.ledger import RUN_FILE, SHARDS, Entry, Ledger, PartFile, Pinned
from tasks.scoring.remotelock import RemoteLock, held_remotely
from tasks.scoring.sinks import PART_SUFFIXES, FileSink, sha256_of
from tasks.scoring.store import ObjectStore, patiently
from tasks.scoring.verify import Finished
from tasks.scoring.writers import open_writer

LEDGER = "_ledger"
OWN = {PREDICTIONS, REJECTS, MANIFEST, LEDGER}


@contextmanager
def claimed_remote(wanted: RemoteDestination, overwrite: bool) -> Iterator[FileSink]:
    """The output, with what an unfinished run has left of it, kept to this process inside the block.

    Parts are uploaded to where they stay; an old output goes away when the first one begins. Raises InputError when
    the output may not be written, OutsideError when another run writes to it now, or has taken it over meanwhile, or
    the store can't be reached.
    """
    try:
        with folder_aside(Path(tempfile.gettempdir()), "perennial-upload") as scratch:
            store, _ = stores(wanted, scratch)
            holder = f"process {os.getpid()} on {socket.gethostname()}"
            kept = ObjectStore(store.filesystem, f"{store.root}/{LEDGER}", scratch)
            with held_remotely(kept, holder, wanted.output) as lock:
                store, ledger = store.watched(lock.require), Ledger(kept.watched(lock.require))
                _require_claimable(wanted, store, ledger, overwrite)
                place = RemotePlace(store)
                try:
                    yield RemoteSink(wanted, place, ledger, lock)
                    place.forget(ledger)
                finally:
                    if lock.holds() and not ledger.store.names(SHARDS):
                        place.forget(ledger)
    except HeldError as other:
        raise OutsideError(f"{wanted.output}: {other} writes to it now; wait for it, or stop it first") from None
    except OSError as error:
        raise _unwritable(wanted, error) from None


def require_claimable_remote(wanted: RemoteDestination, overwrite: bool) -> None:
    """Passes when the output may be written. Raises InputError otherwise, OutsideError when it can't be reached."""
    try:
        _require_claimable(wanted, *stores(wanted, Path(tempfile.gettempdir())), overwrite)
    except OSError as error:
        raise _unwritable(wanted, error) from None


def stores(wanted: RemoteDestination, scratch: Path) -> tuple[ObjectStore, Ledger]:
    """The folder, and its ledger, whose files are made in `scratch`. Raises InputError for URIs of nothing known."""
    try:
        filesystem, root = located(wanted.uri)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{wanted.output}: no kind of place that can be written to ({reason})") from None
    return ObjectStore(filesystem, root, scratch), Ledger(ObjectStore(filesystem, f"{root}/{LEDGER}", scratch))


def _require_claimable(wanted: RemoteDestination, store: ObjectStore, ledger: Ledger, overwrite: bool) -> None:
    selector = fs.FileSelector(store.root, allow_not_found=True)
    names = {info.base_name for info in patiently(lambda: store.filesystem.get_file_info(selector))}
    foreign = sorted(names - OWN)
    if foreign:
        raise InputError(
            f"{wanted.output}: holds {foreign[0]!r}, which is no output of scoring; choose a folder of its own"
        )
    if names - {LEDGER} and not overwrite and ledger.pinned() is None:
        raise InputError(f"{wanted.output}: exists already; choose another output or pass --overwrite")


def _unwritable(wanted: RemoteDestination, error: OSError) -> OutsideError:
    reason = str(error).splitlines()[0].rstrip(".")
    return OutsideError(f"{wanted.output}: can't be written ({reason}); the same command goes on with what is missing")


def finished_remotely(wanted: RemoteDestination) -> Finished:
    """An output in an object store."""
    store, _ = stores(wanted, Path(tempfile.gettempdir()))
    return Finished(wanted.output, store, MANIFEST, folder=True)


class RemoteSink(FileSink):
    """Begins by taking an old output away."""

    _place: "RemotePlace"

    def __init__(self, wanted: RemoteDestination, place: "RemotePlace", ledger: Ledger, lock: RemoteLock) -> None:
        super().__init__(wanted, place, ledger, lock.tell)
        self._lock = lock

    def begin(self, pinned: Pinned, schemas: Mapping[str, pa.Schema]) -> dict[str, Entry]:
        """The shards that are done already."""
        if self.pinned is None:
            self._ledger.store.remove(SHARDS)
            self._place.clear()
        return super().begin(pinned, schemas)

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Makes the output valid, if it is still this run's. Raises OutsideError otherwise."""
        patiently(lambda: self._lock.require(anew=True))
        super().finish(manifest)


class RemotePlace:
    """The folder itself."""

    manifest = MANIFEST

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    def clear(self) -> None:
        """Takes an old output away, the manifest first, without which it is none."""
        for name in (MANIFEST, PREDICTIONS, REJECTS):
            self.store.remove(name)

    def prepare(self, entries: Sequence[Entry], schemas: Mapping[str, pa.Schema]) -> list[PartFile]:
        """Makes what the output lacks yet; its files."""
        made = [file for entry in entries for file in entry.files.values()]
        held_by = {what for entry in entries for what in entry.files}
        return made + [self._empty(what, schemas[what]) for what in (PREDICTIONS, REJECTS) if what not in held_by]

    def move(self) -> None:
        """Everything is in its place."""

    def forget(self, ledger: Ledger) -> None:
        """Takes the ledger away; what is left of it by a kill is no run."""
        ledger.unpublish()
        ledger.store.remove(RUN_FILE)
        ledger.store.remove("")

    def _empty(self, what: str, schema: pa.Schema) -> PartFile:
        name = f"{what}/part-empty{PART_SUFFIXES['parquet']}"
        path = self.store.scratch() / f"{what}-empty"
        open_writer(path, schema, "parquet").close()
        made = PartFile(name, what, 0, path.stat().st_size, sha256_of(path))
        self.store.put(path, name)
        return made
