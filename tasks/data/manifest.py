"""A snapshot on disk: a manifest of parts, each a Parquet file under the hash of its values that never changes."""

import hashlib
import json
import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from models.errors import InputError
from models.sections import Section, Task
from models.versioned import read_versioned
from tasks.data.batches import BATCH_ROWS, constant
from tasks.data.layout import FILE, SOURCE

FORMAT_VERSION = 1
PARTS = "parts"


class Part(Section):
    """Some rows of one file; the Parquet file is named by the hash of its values."""

    sha256: str
    rows: int
    source: str
    file: str


class Manifest(Section):
    """What a snapshot consists of. No time of writing is in it, so that equal data gives equal manifests."""

    format_version: int = FORMAT_VERSION
    name: str
    task: Task
    target: str
    columns: dict[str, str]
    """Arrow type of each stored column."""
    classes: dict[str, int] = Field(default_factory=dict)
    """Rows of each target class; empty for a regression."""
    parts: tuple[Part, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def rows(self) -> int:
        """Number of rows in all parts."""
        return sum(part.rows for part in self.parts)


@dataclass(frozen=True)
class Snapshot:
    """The rows of a manifest, read when asked for."""

    path: Path
    manifest: Manifest

    @property
    def digest(self) -> str:
        """SHA-256 that names the snapshot."""
        return self.manifest.digest

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.manifest.rows

    @property
    def task(self) -> Task:
        """What the target asks for."""
        return self.manifest.task

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns, the origin of the rows included."""
        return (*self.manifest.columns, SOURCE, FILE)

    @property
    def sources(self) -> frozenset[str]:
        """URIs of the sources that its rows are from."""
        return frozenset(part.source for part in self.manifest.parts)

    def table(self, columns: Collection[str] | None = None) -> pa.Table:
        """All rows with the given columns (None: all), in the order of the sources."""
        parts = [self._read(part, columns) for part in self.manifest.parts]
        return pa.concat_tables(parts).unify_dictionaries()

    def batches(self, columns: Collection[str] | None = None) -> Iterator[pa.Table]:
        """The same rows in tables of at most `BATCH_ROWS` rows."""
        for part in self.manifest.parts:
            table = self._read(part, columns)
            for start in range(0, len(table), BATCH_ROWS):
                yield table.slice(start, BATCH_ROWS)

    def _read(self, part: Part, columns: Collection[str] | None) -> pa.Table:
        path = self.path.parent / PARTS / f"{part.sha256}.parquet"
        stored = [name for name in self.manifest.columns if columns is None or name in columns]
        try:
            with pq.ParquetFile(path) as opened:
                if opened.metadata.num_rows != part.rows:
                    raise InputError(
                        f"{path}: damaged; it has {opened.metadata.num_rows} rows and should have {part.rows}"
                    )
                table = opened.read(stored)
        except FileNotFoundError:
            raise InputError(f"{path}: this part of snapshot {self.digest[:12]} is gone; ingest again") from None
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{path}: damaged part of a snapshot ({str(error).splitlines()[0]})") from None
        for name, value in ((SOURCE, part.source), (FILE, part.file)):
            if columns is None or name in columns:
                table = table.append_column(name, constant(value, part.rows))
        order = self.columns if columns is None else [name for name in self.columns if name in columns]
        return table.select(list(order))


def open_snapshot(path: Path) -> Snapshot:
    """The snapshot whose manifest is at `path`. Raises InputError when it is missing, damaged or of a later format."""
    try:
        snapshot = Snapshot(path, read_versioned(Manifest, path, FORMAT_VERSION, "manifest"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such snapshot; ingest again") from None
    if snapshot.digest != path.stem:
        raise InputError(f"{path}: damaged manifest: its content does not match its name")
    return snapshot


def write_manifest(manifest: Manifest, folder: Path) -> tuple[Path, bool]:
    """The manifest's path in `folder`, and whether it had to be written; it appears whole or not at all.

    Its time is now in any case, so that no retention takes it for forgotten.
    """
    path = folder / f"{manifest.digest}.json"
    if path.exists():
        os.utime(path)
        return path, False
    aside = folder / f".{manifest.digest}.{os.getpid()}.json"
    try:
        with aside.open("w", encoding="utf-8") as stream:
            json.dump(manifest.model_dump(mode="json"), stream, indent=1, ensure_ascii=False)
            stream.flush()
            os.fsync(stream.fileno())
        move_into_place(aside, path)
    finally:
        with suppress(FileNotFoundError):
            aside.unlink()
    return path, True


def move_into_place(aside: Path, path: Path) -> None:
    """Renames a finished file, so that readers see all of it or nothing, also after a power cut."""
    aside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
