"""What can happen to a scoring run, and what is left of its rows."""

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from benchmarks.measuring import object_store, victim
from benchmarks.measuring.proxy import Proxy
from benchmarks.measuring.tables import write_table

PATIENCE_SECONDS = 300
GONE_SECONDS = 20
SMALL, LARGE = "12m", "400m"
"""Sizes of a disk that the output does not fit on, and of one that it does."""


@dataclass(frozen=True)
class Outcome:
    """The output beside one that nothing happened to."""

    lost: int
    twice: int
    differ: int
    lines: int | None = None
    """That were told when the run could not go on; None where it could."""
    visible: int = 0
    """Files of the output that were to be seen then."""

    @property
    def wrong(self) -> int:
        """Rows that are not what they should be."""
        return self.lost + self.twice + self.differ


@dataclass(frozen=True)
class Bench:
    """What all runs score, and what should come of it."""

    home: Path
    package: Path
    data: Path
    shard_rows: int
    due: pa.Table

    @classmethod
    def begin(cls, home: Path, package: Path, data: Path, shard_rows: int) -> "Bench":
        """With the output of an undisturbed run."""
        done = victim.start(package, str(data), str(home / "undisturbed"), shard_rows)
        require(done, 0)
        return cls(home, package, data, shard_rows, rows_of(str(home / "undisturbed")))

    def start(self, output: Path | str, data: Path | str | None = None) -> "subprocess.Popen[str]":
        """A run into the output."""
        return victim.start(self.package, str(data or self.data), str(output), self.shard_rows)

    def compare(self, output: Path | str, lines: int | None = None, visible: int = 0) -> Outcome:
        """Its rows with those that are due."""
        found = rows_of(str(output))
        distinct = pc.count_distinct(found["row"]).as_py()
        lost, twice = len(self.due) - distinct, len(found) - distinct
        same = found.sort_by("row").select(self.due.column_names) if not lost and not twice else None
        differ = 0 if same is None else len(self.due) - _equal_rows(same, self.due)
        return Outcome(lost, twice, differ, lines, visible)


def rows_of(output: str) -> pa.Table:
    """All predictions, by row number, without what names the run and its input."""
    filesystem, root = fs.FileSystem.from_uri(output if "://" in output else Path(output).absolute().as_uri())
    table = pq.read_table(f"{root}/predictions", filesystem=filesystem)
    return table.drop_columns(["run_id", "source"]).sort_by("row")


def _equal_rows(one: pa.Table, other: pa.Table) -> int:
    if one.equals(other):
        return len(one)
    same = [pc.fill_null(pc.equal(one[name], other[name]), True) for name in other.column_names]
    alike = same[0]
    for each in same[1:]:
        alike = pc.and_(alike, each)
    return int(pc.sum(alike).as_py())


def require(process: "subprocess.Popen[str]", code: int) -> list[str]:
    """The lines that the process has told. Raises RuntimeError when its exit code is another one."""
    _, told = process.communicate(timeout=PATIENCE_SECONDS)
    if process.returncode != code:
        raise RuntimeError(f"exit code {process.returncode} instead of {code}: {told}")
    return told.splitlines()


def entries(output: Path) -> set[str]:
    """Names of the shards that are done, of a run that has not ended."""
    work = (output.with_name(f".{output.name}.partial"), output / f".{output.name}.partial")
    return {path.stem for folder in work for path in (folder / "ledger" / "shards").glob("*.json")}


def wait_for_shards(process: "subprocess.Popen[str]", output: Path, count: int) -> bool:
    """Whether the process came to so many shards before it ended."""
    while process.poll() is None:
        if len(entries(output)) >= count:
            return True
        time.sleep(0.002)
    return False


def remote_entries(output: str) -> list[str]:
    """Of the shards that are done, of a run into an object store that has not ended."""
    filesystem, root = fs.FileSystem.from_uri(output)
    found = filesystem.get_file_info(fs.FileSelector(f"{root}/_ledger/shards", allow_not_found=True))
    return [info.base_name for info in found if info.type == fs.FileType.File]


def store_gone(bench: Bench) -> Outcome:
    """Input and output in a store that refuses all connections for a while."""
    with object_store.running_store() as port:
        object_store.upload(bench.data, port, "rows.parquet")
        proxy, output = Proxy(port), object_store.uri(port, "gone")
        process = bench.start(object_store.uri(proxy.port, "gone"), object_store.uri(proxy.port, "rows.parquet"))
        while process.poll() is None and not remote_entries(output):
            time.sleep(0.05)
        proxy.vanish(GONE_SECONDS)
        if process.poll() is not None or len(remote_entries(output)) == -(-len(bench.due) // bench.shard_rows):
            raise RuntimeError("the run had ended before the store was gone")
        require(process, 0)
        proxy.close()
        return bench.compare(output)


def disk_full(bench: Bench) -> Outcome:
    """A disk too small for the output, which then grows; needs to be root, else nothing happens."""
    disk = bench.home / "disk"
    disk.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(disk))
    try:
        told = require(bench.start(disk / "out"), 3)
        visible = _visible(disk / "out")
        _mount("-o", f"remount,size={LARGE}", str(disk))
        require(bench.start(disk / "out"), 0)
        return bench.compare(disk / "out", len(told), visible)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def input_replaced(bench: Bench) -> Outcome:
    """Another file takes the place of the input while it is read, which then comes back."""
    data, output = bench.home / "replaced.parquet", bench.home / "replaced"
    shutil.copy2(bench.data, data)
    other = write_table(bench.home / "other.parquet", 1000, seed=9, labelled=False)
    process = bench.start(output, data)
    wait_for_shards(process, output, 3)
    other.replace(data)
    return _mended(bench, process, data, output)


def input_truncated(bench: Bench) -> Outcome:
    """The input loses its second half while it is read, and gets it back."""
    data, output = bench.home / "truncated.parquet", bench.home / "truncated"
    shutil.copy2(bench.data, data)
    process = bench.start(output, data)
    wait_for_shards(process, output, 3)
    os.truncate(data, data.stat().st_size // 2)
    return _mended(bench, process, data, output)


def _mended(bench: Bench, process: "subprocess.Popen[str]", data: Path, output: Path) -> Outcome:
    told, visible = require(process, 2), _visible(output)
    shutil.copy2(bench.data, data)
    require(bench.start(output, data), 0)
    return bench.compare(output, len(told), visible)


def _visible(output: Path) -> int:
    return sum(not path.name.startswith(".") for path in output.glob("*"))


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)
