"""An output on this machine is kept to one run, written in a hidden folder, and takes its place when it is whole."""

import errno
import os
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from models.errors import InputError, OutsideError
from tasks.aside import HeldError, flush_to_disk, held
from tasks.scoring.destination import PREDICTIONS, REJECTS, Destination, require_free, require_short, too_long
from tasks.scoring.ledger import SHARDS, Entry, Ledger, PartFile
from tasks.scoring.sinks import PART_SUFFIXES, FileSink, sha256_of
from tasks.scoring.store import SCRATCH, LocalStore
from tasks.scoring.writers import join, open_writer

GOES_ON = "the same command goes on with what is missing"


@contextmanager
def claimed(wanted: Destination, overwrite: bool) -> Iterator[FileSink]:
    """The output, with what an unfinished run has left of it, kept to this process inside the block.

    A run is finished when its output is visible and the block has ended without an error.
    Raises InputError when it may not take its place, OutsideError when another run writes to it now, and when the disk
    is full or read-only.
    """
    lock = wanted.output.with_name(f".{wanted.output.name}.lock")
    try:
        with held(lock, f"process {os.getpid()} on {socket.gethostname()}") as tell:
            for folder in _folders(wanted):
                shutil.rmtree(_swept(folder), ignore_errors=True)
            work, ledger = require_claimable(wanted, overwrite)
            place = LocalPlace(wanted, work / "out", overwrite)
            try:
                yield FileSink(wanted, place, ledger, tell)
                _forget(work)
            finally:
                if not ledger.store.names(SHARDS):
                    _forget(work)
    except HeldError as other:
        raise OutsideError(f"{wanted.output}: {other} writes to it now; wait for it, or stop it first") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(too_long(wanted.output)) from None
        raise OutsideError(f"{wanted.output}: can't be written ({_reason(error)}); {GOES_ON}") from None


def require_claimable(wanted: Destination, overwrite: bool) -> tuple[Path, Ledger]:
    """The hidden folder of the output and the ledger in it. Raises InputError where the output may not be written."""
    require_short(wanted)
    work, ledger = work_folder(wanted), ledger_of(wanted)
    if not ledger.publishing:
        require_free(wanted, overwrite)
    return work, ledger


def ledger_of(wanted: Destination) -> Ledger:
    """What an unfinished run has left of itself."""
    return Ledger(LocalStore(work_folder(wanted) / "ledger"))


def _forget(work: Path) -> None:
    """Takes the hidden folder away in one step, so that a kill leaves no half of a ledger."""
    if work.exists():
        work.rename(_swept(work))
        shutil.rmtree(_swept(work))


def _swept(work: Path) -> Path:
    return work.with_name(f"{work.name}.swept")


def work_folder(wanted: Destination) -> Path:
    """Inside a folder that exists, which may be a file system of its own; else beside the output."""
    beside, inside = _folders(wanted)
    return inside if wanted.output.is_dir() and not beside.exists() else beside


def _folders(wanted: Destination) -> tuple[Path, Path]:
    return wanted.output.with_name(wanted.hidden), wanted.output / wanted.hidden


def _reason(error: OSError) -> str:
    return "the disk is full" if error.errno == errno.ENOSPC else str(error.strerror or error).splitlines()[0]


class LocalPlace:
    """A hidden folder of this machine, whose contents take the place of the output."""

    def __init__(self, wanted: Destination, out: Path, overwrite: bool) -> None:
        self.store, self.manifest = LocalStore(out), wanted.manifest.name
        self._wanted, self._out, self._overwrite = wanted, out, overwrite

    def prepare(self, entries: Sequence[Entry], schemas: Mapping[str, pa.Schema]) -> list[PartFile]:
        """Makes what the output lacks yet; its files."""
        require_free(self._wanted, self._overwrite)
        if self._wanted.one_file:
            return [self._joined(what, entries, schemas[what]) for what in (PREDICTIONS, REJECTS)]
        made = [file for entry in entries for file in entry.files.values()]
        held_by = {what for entry in entries for what in entry.files}
        return made + [self._empty(what, schemas[what]) for what in (PREDICTIONS, REJECTS) if what not in held_by]

    def move(self) -> None:
        """Puts everything in its place, rejects before the predictions; killed at any step, it can be called again."""
        wanted, final = self._wanted, {path.name: path for path in self._finals()}
        if not wanted.one_file and not wanted.output.exists() and self._out.exists():
            shutil.rmtree(self._out / SCRATCH, ignore_errors=True)
            self._out.rename(wanted.output)
        for name, path in final.items():
            new, old = self._out / name, self._out / f"old-{name}"
            if new.exists() and path.is_dir():
                path.rename(old)
            if new.exists():
                new.rename(path)
        flush_to_disk(wanted.predictions.parent)

    def clear(self) -> None:
        """Takes away all that is collected, also what an output that is replaced has made way with."""
        self.store.remove("")

    def _finals(self) -> Iterable[Path]:
        return self._wanted.rejects, self._wanted.manifest, self._wanted.predictions

    def _joined(self, what: str, entries: Sequence[Entry], schema: pa.Schema) -> PartFile:
        final = self._wanted.predictions if what == PREDICTIONS else self._wanted.rejects
        parts = [entry.files[what] for entry in entries if what in entry.files]
        path = self._out / final.name
        # Without a row in any shard nobody has made the folder yet.
        self._out.mkdir(parents=True, exist_ok=True)
        if len(parts) == 1 and self._wanted.format != "csv" and final.suffix.lower() != ".gz":
            path.unlink(missing_ok=True)
            path.hardlink_to(self._out / parts[0].name)
        else:
            join([self.store.open(part.name) for part in parts], path, schema, self._wanted.format)
        return self._seen(path, path.name, what, sum(part.rows for part in parts))

    def _empty(self, what: str, schema: pa.Schema) -> PartFile:
        name = f"{what}/part-empty{PART_SUFFIXES[self._wanted.format]}"
        path = self._out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        open_writer(path, schema, self._wanted.format).close()
        return self._seen(path, name, what, 0)

    def _seen(self, path: Path, name: str, what: str, rows: int) -> PartFile:
        flush_to_disk(path)
        return PartFile(name, what, rows, path.stat().st_size, sha256_of(path))
