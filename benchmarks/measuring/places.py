"""Outputs of scoring runs, looked at from outside while and after the runs work on them."""

import shutil
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from benchmarks.measuring.outcome import OF_THE_RUN
from benchmarks.measuring.postgres import Looks
from tasks.scoring.tabledestination import LEDGER, STAGING

GLANCE_SECONDS = 0.005
LEAVING_SECONDS = 3.0
"""In which a server notices that a process is gone."""


class Place(Protocol):
    """One output."""

    @property
    def uri(self) -> str:
        """What `--output` takes."""

    def done(self) -> Mapping[str, object]:
        """The shards that are done, of a run that has not ended, each with what changes when it is done again."""

    def begun(self, shard_rows: int) -> int:
        """Shards that a killed run had begun and not done, since this was asked before."""

    def is_whole(self) -> bool:
        """Whether the output is there for all to see, and no run works on it any more."""

    def rows(self) -> pa.Table:
        """All predictions, by row number, without what names the run and its input."""

    def remove(self) -> None:
        """Takes away a finished output."""


class FilePlace:
    """A folder of Parquet files on this machine."""

    def __init__(self, output: Path) -> None:
        self.output = output
        # Inside of a folder that was there before, else beside it.
        self._hidden = [folder / f".{output.name}.partial" for folder in (output.parent, output)]

    @property
    def uri(self) -> str:
        """What `--output` takes."""
        return str(self.output)

    def done(self) -> Mapping[str, object]:
        """The shards that are done, by when they were."""
        found = {}
        for path in (path for folder in self._hidden for path in (folder / "ledger" / "shards").glob("*.json")):
            # A run that comes to its end meanwhile takes them away.
            with suppress(FileNotFoundError):
                found[path.stem] = path.stat().st_mtime_ns
        return found

    def begun(self, shard_rows: int) -> int:
        """Shards of which there are files, finished or not, and no entry."""
        parts: set[str] = set()
        for folder in self._hidden:
            parts |= {path.stem.removeprefix("part-") for path in folder.glob("out/predictions/part-*")}
            parts |= {path.name.removeprefix("predictions-") for path in folder.glob("out/.scratch/predictions-*")}
        return len(parts - self.done().keys())

    def is_whole(self) -> bool:
        """Whether the output is visible and nothing hidden is left."""
        return self.output.exists() and not any(folder.exists() for folder in self._hidden)

    def rows(self) -> pa.Table:
        """All predictions, by row number."""
        return rows_of(str(self.output))

    def remove(self) -> None:
        """Takes away a finished output."""
        shutil.rmtree(self.output)

    def visible(self) -> int:
        """Files of the output that are to be seen."""
        return sum(not path.name.startswith(".") for path in self.output.glob("*"))


class TablePlace:
    """A table in PostgreSQL."""

    def __init__(self, looks: Looks, name: str) -> None:
        self._looks, self._name, self._staging = looks, name, f"{name}{STAGING}"
        self._in_vain = 0

    @property
    def uri(self) -> str:
        """What `--output` takes."""
        return self._looks.server.table(self._name)

    def done(self) -> Mapping[str, object]:
        """The shards that are done, by the transactions that did them."""
        if not self._looks.exists(self._staging) or not self._looks.exists(LEDGER):
            return {}
        found = self._looks.table(
            f"SELECT shard, CAST(xmin AS text) FROM {LEDGER} WHERE output = '{self._name}' AND shard <> ''"
        )
        return dict(zip(found.column(0).to_pylist(), found.column(1).to_pylist(), strict=True))

    def begun(self, shard_rows: int) -> int:
        """By the rows that the server has taken and not kept, as its statistics count them."""
        self._wait_for_end()
        if not self._looks.exists(self._staging):
            return 0
        (taken,) = self._looks.column(
            f"SELECT n_tup_ins - (SELECT count(*) FROM {self._staging}) FROM pg_stat_user_tables "
            f"WHERE relname = '{self._staging}'"
        )
        new, self._in_vain = int(str(taken)) - self._in_vain, int(str(taken))
        return -(-new // shard_rows)

    def is_whole(self) -> bool:
        """Whether the table has its name."""
        return self._looks.exists(self._name)

    def rows(self) -> pa.Table:
        """All predictions, by row number."""
        return self._looks.table(f'SELECT * FROM {self._name} ORDER BY "row"').drop_columns(list(OF_THE_RUN))

    def remove(self) -> None:
        """Takes away a finished output."""
        self._looks.server.psql(f"DROP TABLE {self._name}, {self._name}_rejects")

    def _wait_for_end(self) -> None:
        """Until the server has noticed that the killed process is gone: its sessions tell what they did as they end."""
        deadline = time.monotonic() + LEAVING_SECONDS
        sessions = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'perennial%'"
        while self._looks.column(sessions) and time.monotonic() < deadline:
            time.sleep(GLANCE_SECONDS)


def rows_of(output: str) -> pa.Table:
    """As `Place.rows`, of a folder anywhere."""
    filesystem, root = fs.FileSystem.from_uri(output if "://" in output else Path(output).absolute().as_uri())
    table = pq.read_table(f"{root}/predictions", filesystem=filesystem)
    return table.drop_columns(list(OF_THE_RUN)).sort_by("row")


def wait_for_shards(process: "subprocess.Popen[str]", place: Place, count: int) -> bool:
    """Whether the process came to so many shards before it ended."""
    while process.poll() is None:
        if len(place.done()) >= count:
            return True
        time.sleep(GLANCE_SECONDS)
    return False
