"""The folder that a measurement works in: the version's graph, its test rows, and training rows to calibrate with."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.columns.kind import Mask
from models.contract import CONTRACT_FILE, GRAPH_FILE, Contract, read_contract
from models.errors import InputError
from models.modelfile import ModelFile
from models.packaged import read_model_settings
from tasks.data.contents import row_bytes
from tasks.data.layout import stored_split_name
from tasks.data.rows import assign_rows, masked_rows
from tasks.data.snapshot import Snapshot, open_snapshot, snapshot_folder
from tasks.data.splits import TEST, TRAIN
from tasks.evaluation.groups import group_codes
from tasks.evaluation.of_graph import parsed_columns
from tasks.hardware.accuracy import Yardstick
from tasks.hardware.bench import Bench

MOST_ROWS, MOST_BYTES = 10_000, 1 << 27
"""Of the test rows; more are sampled."""
CALIBRATION_ROWS = 512
SEED = 0


@dataclass(frozen=True)
class Prepared:
    """What is ready to be measured."""

    bench: Bench
    yardstick: Yardstick
    model_file: ModelFile
    sampled_from: int
    """Test rows that there are."""


def prepare(package: Path, folder: Path, home: Path) -> Prepared:
    """The downloaded version in `package`, made ready in `folder`.

    Raises InputError where its snapshot is gone, or has no test rows.
    """
    contract, model_file = read_contract(package), read_model_settings(package)
    snapshot = _snapshot(contract, home)
    assigned = assign_rows(snapshot, contract.split)
    test, train = np.flatnonzero(assigned == TEST), np.flatnonzero(assigned == TRAIN)
    if not len(test) or not len(train):
        raise InputError(
            f"{contract.name}: its snapshot has no {'test' if len(train) else 'training'} rows to measure on"
        )
    group = model_file.split.group
    beside = [contract.target, *filter(None, [contract.weight, group and stored_split_name(group)])]
    columns = [column.name for column in contract.columns]
    rows = _drawn(snapshot, test, _affordable(contract, MOST_ROWS), {*columns, *beside})
    learnt = _drawn(snapshot, train, _affordable(contract, CALIBRATION_ROWS), {*columns})
    for name in (CONTRACT_FILE, GRAPH_FILE):
        shutil.copyfile(package / name, folder / name)
    bench = Bench(folder, contract)
    (folder / GRAPH_FILE).rename(bench.graph("float32"))
    for name, table in (("test", rows), ("train", learnt)):
        _write(pa.table(parsed_columns(table, contract)), folder / f"{name}.arrow")
    groups = group_codes(rows.column(stored_split_name(group))) if group else None
    yardstick = Yardstick(contract, rows, groups, model_file.promotion.resamples)
    return Prepared(bench, yardstick, model_file, len(test))


def _snapshot(contract: Contract, home: Path) -> Snapshot:
    path = snapshot_folder(home, contract.name) / f"{contract.snapshot}.json"
    if not path.exists():
        raise InputError(
            f"{contract.name}: the snapshot that the version was made from, {path}, is not on this machine; measure "
            "where it was trained, or train again"
        )
    return open_snapshot(path)


def _affordable(contract: Contract, most: int) -> int:
    size = row_bytes({column.name: column.settings for column in contract.columns})
    return max(1, min(most, MOST_BYTES // max(size, 1)))


def _drawn(snapshot: Snapshot, places: NDArray[np.int64], most: int, columns: set[str]) -> pa.Table:
    """At most so many of the rows, drawn at random, in their order."""
    if len(places) > most:
        places = np.random.default_rng(SEED).choice(places, most, replace=False)
    mask: Mask = np.zeros(snapshot.rows, dtype=bool)
    mask[places] = True
    return masked_rows(snapshot, mask, columns)


def _write(table: pa.Table, path: Path) -> None:
    table = table.combine_chunks()
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
