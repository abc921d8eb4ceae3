"""MLflow's way in: `mlflow.pyfunc.load_model` calls `_load_pyfunc` of this module."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import fs

from models.columns import KINDS
from models.columns.cells import as_array, plain
from models.contract import Contract
from models.errors import InputError
from models.problems import near_match
from tasks.data.batches import RawBatch, SourceFile
from tasks.data.contents import with_contents
from tasks.data.windows import TOO_SHORT, windows_of
from tasks.scoring.output import output_columns
from tasks.scoring.predictor import Predictor

TABLE = "the table"
MOST_NAMED = 5
"""Columns that an error names one by one."""


class PyFunc:
    """A version behind MLflow's pyfunc interface."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Label and probabilities, or value, for each row of raw columns; an absent column counts as missing.

        Rows that end no full window have neither, where the model takes series.

        Raises InputError that names column and row, counted from 1, where a value can't be scored, and where no column
        of the model is there: MLflow hands on such a table without its rows.
        """
        contract = self.predictor.contract
        _require_some_column(frame, contract)
        tables: list[pa.Table] = []
        rows: list[NDArray[np.int64]] = []
        problems: dict[tuple[str, str], str] = {}
        for piece in _pieces(frame, contract):
            parsed = _parse(piece, contract, problems)
            if not problems:
                tables.append(self._scored(parsed.columns))
                rows.append(parsed.rows)
        if problems:
            raise InputError(*problems.values())
        scored: pd.DataFrame = pa.concat_tables(tables).to_pandas()
        return scored.set_index(np.concatenate(rows) - 1).reindex(range(len(frame))).set_index(frame.index)

    def _scored(self, columns: dict[str, pa.Array]) -> pa.Table:
        named = output_columns(self.predictor.predict(columns), self.predictor.contract)
        return pa.table({name: plain(array) for name, array in named.items()})


@dataclass(frozen=True)
class _Accepted:
    """Parsed columns of the rows that can be scored, and their numbers from 1, [N]."""

    columns: dict[str, pa.Array]
    rows: NDArray[np.int64]


def _require_some_column(frame: pd.DataFrame, contract: Contract) -> None:
    given = [str(name) for name in frame.columns]
    wanted = list(contract.raw_columns)
    if set(given) & set(wanted):
        return
    missing = ", ".join(map(repr, wanted[:MOST_NAMED])) + (" and others" if len(wanted) > MOST_NAMED else "")
    hints = [f"column {name!r} is unknown{near_match(name, wanted)}" for name in given[:MOST_NAMED]]
    raise InputError(f"no column of {contract.name!r} is there; it takes {missing}", *hints)


def _pieces(frame: pd.DataFrame, contract: Contract) -> Iterator[RawBatch]:
    """The rows in order, with windows and contents of files; relative paths begin where the process was started."""
    columns = {column.name: column.settings for column in contract.columns}
    raw = pa.table({name: _to_arrow(frame, name) for name in contract.raw_columns})
    whole = iter([RawBatch(TABLE, np.arange(1, len(frame) + 1), raw)])
    windows = windows_of(contract.series, columns, contract.missing)
    file = SourceFile(TABLE, str(Path(TABLE).absolute()), fs.LocalFileSystem(), "folder", {}, 0)
    return with_contents(windows.of(whole) if windows else whole, file, columns, contract.missing)


def _parse(piece: RawBatch, contract: Contract, problems: dict[tuple[str, str], str]) -> _Accepted:
    """What of the piece can be scored; `problems` gets a line for each column and reason that it has no line for."""
    parsed: dict[str, pa.Array] = {}
    short = np.zeros(len(piece.rows), dtype=bool)
    for column in contract.columns:
        name, settings = column.name, column.settings
        raw = piece.gathered[name] if name in piece.gathered else piece.table[name]
        result = KINDS[settings.kind].parse(as_array(raw), settings, contract.missing)
        parsed[name] = result.values
        for refusal in result.refusals:
            if refusal.reason == TOO_SHORT:
                short |= refusal.rows
            elif refusal.rows.any():
                row = int(piece.rows[refusal.rows.argmax()])
                blamed = piece.to_blame(name, refusal.reason) or name
                problems.setdefault((blamed, refusal.reason), f"{blamed!r}, row {row}: {refusal.reason}")
    if short.any():
        parsed = {name: values.filter(pa.array(~short)) for name, values in parsed.items()}
    return _Accepted(parsed, piece.rows[~short])


def _to_arrow(frame: pd.DataFrame, name: str) -> pa.Array:
    if name not in frame.columns:
        return pa.nulls(len(frame))
    try:
        return pa.Array.from_pandas(frame[name])
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # A column of mixed Python types; the kind reads its text.
        return pa.Array.from_pandas(frame[name].map(lambda cell: cell if pd.isna(cell) else str(cell)))


def _load_pyfunc(path: str) -> PyFunc:
    return PyFunc(Predictor.load(Path(path)))
