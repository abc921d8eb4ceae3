"""What can happen to a scoring run besides kills, and what is left of its rows."""

import importlib.util
import os
import shutil
import subprocess
import time
from pathlib import Path

import psutil
from pyarrow import fs

from benchmarks.measuring import object_store
from benchmarks.measuring.bench import KEY, Bench
from benchmarks.measuring.command import Command, mlflow_server
from benchmarks.measuring.outcome import Outcome, compared
from benchmarks.measuring.places import FilePlace, rows_of, wait_for_shards
from benchmarks.measuring.proxy import Proxy
from benchmarks.measuring.tables import write_table
from benchmarks.measuring.victim import require

GONE_SECONDS = 20
RESTART_SECONDS = 5
SMALL, LARGE = "12m", "400m"
"""Sizes of a disk that the output does not fit on, and of one that it does."""


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
        if process.poll() is not None or len(remote_entries(output)) == bench.shards:
            raise RuntimeError("the run had ended before the store was gone")
        require(process, 0)
        proxy.close()
        return compared(rows_of(output), bench.due)


def postgres_restarted(bench: Bench) -> Outcome | None:
    """The server that is read from and written to stops, and is back some seconds later; None where there is none."""
    if bench.tables is None:
        return None
    tables, place = bench.tables, bench.tables.place("restarted")
    process = bench.start(place.uri, tables.data, KEY)
    wait_for_shards(process, place, 5)
    tables.server.stop()
    if process.poll() is not None:
        raise RuntimeError(f"the run had ended before the server stopped: {require(process, 0)}")
    time.sleep(RESTART_SECONDS)
    tables.server.start()
    _require_middle(len(place.done()), bench)
    require(process, 0)
    return compared(place.rows(), tables.due)


def mlflow_gone(bench: Bench) -> Outcome:
    """`perennial score` with a model from an MLflow server, which is killed once the first shard is done."""
    with mlflow_server(bench.home / "mlflow") as server:
        command, place = Command(bench.home / "with-server", server.uri), bench.place("without-mlflow")
        command.register(bench.package, bench.learnt)
        process = command.start(str(bench.data), place.uri, bench.shard_rows)
        wait_for_shards(process, place, 1)
        server.kill()
        _require_middle(len(place.done()), bench)
        require(process, 0)
        return bench.compare(place)


def ray_worker_killed(bench: Bench) -> Outcome | None:
    """`perennial score --engine ray`, one of whose workers is killed at work; None where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        return None
    command, place = Command(bench.home / "on-ray"), bench.place("worker-killed")
    command.register(bench.package, bench.learnt)
    process = command.start(str(bench.data), place.uri, bench.shard_rows, engine="ray")
    wait_for_shards(process, place, 3)
    while not (workers := _at_work(process)):
        time.sleep(0.01)
    workers[0].kill()
    _require_middle(len(place.done()), bench)
    require(process, 0)
    return bench.compare(place)


def _at_work(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Ray's workers of a run that score at this moment."""
    found = psutil.Process(process.pid).children(recursive=True)
    return [each for each in found if each.is_running() and each.name().startswith("ray::score")]


def disk_full(bench: Bench) -> Outcome:
    """A disk too small for the output, which then grows; needs to be root, else nothing happens."""
    disk = bench.home / "disk"
    disk.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(disk))
    place = FilePlace(disk / "out")
    try:
        told = require(bench.start(place.uri), 3)
        visible = place.visible()
        _mount("-o", f"remount,size={LARGE}", str(disk))
        require(bench.start(place.uri), 0)
        return bench.compare(place, len(told), visible)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def input_replaced(bench: Bench) -> Outcome:
    """Another file takes the place of the input while it is read, which then comes back."""
    data, place = bench.home / "replaced.parquet", bench.place("replaced")
    shutil.copy2(bench.data, data)
    other = write_table(bench.home / "other.parquet", 1000, seed=9, labelled=False)
    process = bench.start(place.uri, data)
    wait_for_shards(process, place, 3)
    other.replace(data)
    return _mended(bench, process, data, place)


def input_truncated(bench: Bench) -> Outcome:
    """The input loses its second half while it is read, and gets it back."""
    data, place = bench.home / "truncated.parquet", bench.place("truncated")
    shutil.copy2(bench.data, data)
    process = bench.start(place.uri, data)
    wait_for_shards(process, place, 3)
    os.truncate(data, data.stat().st_size // 2)
    return _mended(bench, process, data, place)


def _mended(bench: Bench, process: "subprocess.Popen[str]", data: Path, place: FilePlace) -> Outcome:
    told, visible = require(process, 2), place.visible()
    shutil.copy2(bench.data, data)
    require(bench.start(place.uri, data), 0)
    return bench.compare(place, len(told), visible)


def _require_middle(done: int, bench: Bench) -> None:
    """Raises RuntimeError where nothing was disturbed."""
    if not 0 < done < bench.shards:
        raise RuntimeError(f"it happened when {done} of {bench.shards} shards were done, which is not in the middle")


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)
