"""The folder that a measurement works in: the version's graph, and rows to choose by, to calibrate with, to test on."""

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
from tasks.data import splits
from tasks.data.contents import row_bytes
from tasks.data.layout import stored_split_name
from tasks.data.rows import assign_rows, masked_rows
from tasks.data.snapshot import Snapshot, open_snapshot, snapshot_folder
from tasks.data.splits import Assignment
from tasks.evaluation.groups import group_codes
from tasks.evaluation.of_graph import parsed_columns
from tasks.hardware.accuracy import Known, Yardstick
from tasks.hardware.bench import Bench
from tasks.hardware.probe import CALIBRATION, CHOICE, TEST
from tasks.hardware.results import ChoiceSplit, Drawn

MOST_ROWS, MOST_BYTES = 10_000, 1 << 27
"""Of the rows to choose by, and of the test rows; of more some are drawn."""
CALIBRATION_ROWS = 512
SEED = 0


@dataclass(frozen=True)
class Prepared:
    """What is ready to be measured."""

    bench: Bench
    yardstick: Yardstick
    model_file: ModelFile


@dataclass(frozen=True)
class _Places:
    """Positions [M] of rows of the snapshot, by what they are for; none is for two things."""

    choice: NDArray[np.int64]
    split: ChoiceSplit
    """Which the rows to choose by are of."""
    test: NDArray[np.int64]
    calibration: NDArray[np.int64]


def prepare(package: Path, folder: Path, home: Path) -> Prepared:
    """The downloaded version in `package`, made ready in `folder`.

    Raises InputError where its snapshot is gone, or has no test rows, or none to choose by.
    """
    contract, model_file = read_contract(package), read_model_settings(package)
    snapshot = _snapshot(contract, home)
    places = _places(assign_rows(snapshot, contract.split), contract.name)
    for name in (CONTRACT_FILE, GRAPH_FILE):
        shutil.copyfile(package / name, folder / name)
    bench = Bench(folder, contract)
    (folder / GRAPH_FILE).rename(bench.graph("float32"))
    group = stored_split_name(model_file.split.group) if model_file.split.group else None
    columns = {column.name for column in contract.columns}
    beside = {*columns, contract.target, *filter(None, [contract.weight, group])}
    calibration = _drawn(snapshot, places.calibration, _affordable(contract, CALIBRATION_ROWS), columns)
    choice, test = (
        _drawn(snapshot, of, _affordable(contract, MOST_ROWS), beside) for of in (places.choice, places.test)
    )
    for name, table in ((CHOICE, choice), (TEST, test), (CALIBRATION, calibration)):
        _write(pa.table(parsed_columns(table, contract)), folder / f"{name}.arrow")
    yardstick = Yardstick(
        contract,
        _known(choice, places.split, len(places.choice), group),
        _known(test, "test", len(places.test), group),
        model_file.promotion.resamples,
    )
    return Prepared(bench, yardstick, model_file)


def _places(assigned: Assignment, name: str) -> _Places:
    """Validation rows choose; where there are none, as of a model that was made elsewhere, training rows do.

    They are others than those that calibrate. Test rows never choose.
    """
    train, validation, test = (np.flatnonzero(assigned == of) for of in (splits.TRAIN, splits.VALIDATION, splits.TEST))
    if not len(test) or not len(train):
        raise InputError(f"{name}: its snapshot has no {'test' if len(train) else 'training'} rows to measure on")
    if len(validation):
        return _Places(validation, "validation", test, train)
    shuffled = np.random.default_rng(SEED).permutation(train)
    calibrating = min(CALIBRATION_ROWS, len(train) // 2)
    if not calibrating:
        raise InputError(f"{name}: its snapshot has one training row and no validation rows to choose by")
    return _Places(shuffled[calibrating:], "train", test, shuffled[:calibrating])


def _known(rows: pa.Table, split: ChoiceSplit, of: int, group: str | None) -> Known:
    drawn = Drawn(split=split, rows=len(rows), of=of)
    return Known(rows, drawn, group_codes(rows.column(group)) if group else None)


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
