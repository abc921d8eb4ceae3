"""The log of requests: answered rows with what was predicted for them, in Parquet files that `monitor` reads."""

import hashlib
import logging
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from models.columns import KINDS, ColumnSettings
from models.columns.kind import FileSettings
from models.columns.series.feed import SeriesSettings
from models.contract import free_name
from tasks.aside import flush_to_disk
from tasks.scoring.cells import contents_of
from tasks.scoring.output import constant_column, output_columns
from tasks.serving.beside.block import Block
from tasks.serving.beside.names import folder_name
from tasks.serving.worker_settings import Logging

LOG = logging.getLogger("perennial.serve")
PART_ROWS, PART_BYTES = 50_000, 32 << 20
"""After which a part is written before its time."""
MOST_BYTES = 4 * PART_BYTES
"""Of a version that wait for a disk that refuses them; of more the oldest are let go."""
AGAIN_SECONDS = 5.0
"""Between tries of a disk that refuses."""
TEXT = pa.dictionary(pa.int32(), pa.string())


@dataclass
class _Waiting:
    """Rows of one version that are in no part yet."""

    tables: list[pa.Table] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0
    due: float = 0.0


class RequestLog:
    """Writes a folder for each model; all but `chosen` works in one thread."""

    def __init__(self, how: Logging) -> None:
        self._how, self._folder = how, Path(how.folder)
        self._most = int(how.share * (1 << 64))
        self._waiting: dict[tuple[str, str], _Waiting] = {}
        """By model and version."""
        self._refused = False
        self._lost = 0

    def chosen(self, request_id: str) -> bool:
        """Whether the request is logged: the same ids are, whichever process is asked."""
        if self._how.share >= 1:
            return True
        digest = hashlib.blake2b(request_id.encode(), digest_size=8).digest()
        return int.from_bytes(digest) < self._most

    def take(self, block: Block) -> None:
        """Takes the rows of the requests."""
        waiting = self._waiting.setdefault((block.served.contract.name, block.served.version), _Waiting())
        if not waiting.tables:
            waiting.due = time.monotonic() + self._how.seconds
        table = log_table(block, frozenset(self._how.keep))
        waiting.tables.append(table)
        waiting.rows += len(table)
        waiting.bytes += table.nbytes

    def lose(self, rows: int) -> None:
        """Takes note of rows that came faster than they could be logged."""
        if not self._lost:
            LOG.error("the log can't keep up: some rows are not logged; lower --log-share")
        self._lost += rows

    def tick(self) -> None:
        """Writes what is due."""
        now = time.monotonic()
        for (name, _), waiting in self._waiting.items():
            full = waiting.rows >= PART_ROWS or waiting.bytes >= PART_BYTES
            if waiting.tables and (now >= waiting.due or (full and not self._refused)):
                self._write(name, waiting)

    def close(self) -> None:
        """Writes all."""
        for (name, _), waiting in self._waiting.items():
            if waiting.tables:
                self._write(name, waiting)
        if self._lost:
            LOG.error("%d rows were not logged", self._lost)

    def _write(self, name: str, waiting: _Waiting) -> None:
        """A part; where the disk refuses it the rows wait, as long as there are not too many."""
        try:
            write_part(self._folder / folder_name(name), pa.concat_tables(waiting.tables))
        except OSError as error:
            if not self._refused:
                where = error.filename or self._folder
                LOG.error("%s: the log can't be written (%s); answers go on", where, error.strerror or error)
            self._refused = True
            waiting.due = time.monotonic() + AGAIN_SECONDS
            while waiting.bytes > MOST_BYTES:
                oldest = waiting.tables.pop(0)
                waiting.rows -= len(oldest)
                waiting.bytes -= oldest.nbytes
                self._lost += len(oldest)
            return
        if self._refused:
            LOG.info("the log goes on%s", f"; {self._lost} rows are not in it" if self._lost else "")
            self._refused, self._lost = False, 0
        waiting.tables, waiting.rows, waiting.bytes = [], 0, 0


def write_part(folder: Path, table: pa.Table) -> Path:
    """A file of its own, which is there whole or not at all. Raises OSError where the disk refuses it."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}-{uuid4().hex[:8]}.parquet"
    aside = folder / f".{name}.partial"
    try:
        # Texts of few rows seldom make a dictionary that pays; Parquet finds those that do.
        pq.write_table(table, aside)
        flush_to_disk(aside)
        aside.replace(folder / name)
    finally:
        aside.unlink(missing_ok=True)
    return folder / name


def log_table(block: Block, keep: frozenset[str]) -> pa.Table:
    """The rows of the requests: raw columns, predictions, and what names row, request, version and time."""
    contract, requests = block.served.contract, block.requests
    columns = {
        column.name: _logged(block, column.name, column.settings, column.name in keep) for column in contract.columns
    }
    others = [name for name in contract.raw_columns if name not in columns]
    columns |= {name: pa.nulls(len(block), pa.string()) for name in others}
    added = {
        **output_columns(block.predictions, contract),
        "model": constant_column(contract.name, len(block)),
        "model_version": constant_column(block.served.version, len(block)),
        "request_id": block.per_row([answered.asked.id for answered in requests], pa.string()),
        "row": pa.array(block.numbers),
        "endpoint": block.per_row([answered.asked.endpoint or None for answered in requests], TEXT),
        "time": block.per_row([round(answered.at * 1e6) for answered in requests], pa.int64()).cast(
            pa.timestamp("us", "UTC")
        ),
    }
    # A prediction must not be taken for the truth.
    taken = {*columns, contract.target}
    return pa.table(columns | {free_name(name, taken): values for name, values in added.items()})


def _logged(block: Block, name: str, settings: ColumnSettings, kept: bool) -> pa.Array:
    if isinstance(settings, FileSettings):
        return contents_of(block.sent(name)) if kept else pa.nulls(len(block), pa.binary())
    values = None if settings.sensitive and not kept else block.parsed(name)
    if isinstance(settings, SeriesSettings):
        return _as_lists(values, len(block))
    return pa.nulls(len(block), KINDS[settings.kind].arrow_type(settings)) if values is None else values


def _as_lists(windows: pa.Array | None, count: int) -> pa.Array:
    """Windows of bytes as lists of numbers, which people and `monitor` read."""
    cells = [None] * count if windows is None else windows.to_pylist()
    lists = [None if cell is None else memoryview(cell).cast("f").tolist() for cell in cells]
    # Not of one length by their type: Arrow can't read such lists out of Parquet where one is null.
    return pa.array(lists, pa.list_(pa.float32()))
