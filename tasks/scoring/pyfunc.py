"""MLflow's way in: `mlflow.pyfunc.load_model` calls `_load_pyfunc` of this module."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from models.columns import KINDS
from models.columns.cells import is_text, plain
from models.columns.kind import FileSettings, Mask
from models.contract import Contract
from models.errors import InputError
from models.problems import near_match
from tasks.data.batches import RawBatch
from tasks.data.contents import fetch
from tasks.data.windows import TOO_SHORT, windows_of
from tasks.scoring.output import output_columns
from tasks.scoring.predictor import Predictor

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
        _require_some_column(frame, self.predictor.contract)
        columns, short = _parse(frame, self.predictor.contract)
        if short.any():
            columns = {name: values.filter(pa.array(~short)) for name, values in columns.items()}
        predictions = self.predictor.predict(columns)
        named = output_columns(predictions, self.predictor.contract)
        scored: pd.DataFrame = pa.table({name: plain(array) for name, array in named.items()}).to_pandas()
        return scored.set_index(np.flatnonzero(~short)).reindex(range(len(frame))).set_index(frame.index)


def _require_some_column(frame: pd.DataFrame, contract: Contract) -> None:
    given = [str(name) for name in frame.columns]
    wanted = list(contract.raw_columns)
    if set(given) & set(wanted):
        return
    missing = ", ".join(map(repr, wanted[:MOST_NAMED])) + (" and others" if len(wanted) > MOST_NAMED else "")
    hints = [f"column {name!r} is unknown{near_match(name, wanted)}" for name in given[:MOST_NAMED]]
    raise InputError(f"no column of {contract.name!r} is there; it takes {missing}", *hints)


def _parse(frame: pd.DataFrame, contract: Contract) -> tuple[dict[str, pa.Array], Mask]:
    """Parsed columns, and the mask of the rows that end no full window."""
    parsed: dict[str, pa.Array] = {}
    problems: list[str] = []
    short = np.zeros(len(frame), dtype=bool)
    raw = _gathered({name: _to_arrow(frame, name) for name in contract.raw_columns}, contract)
    for column in contract.columns:
        result = KINDS[column.settings.kind].parse(raw[column.name], column.settings, contract.missing)
        parsed[column.name] = result.values
        for refusal in result.refusals:
            if refusal.reason == TOO_SHORT:
                short |= refusal.rows
            else:
                problems.append(f"{column.name!r}, row {int(refusal.rows.argmax()) + 1}: {refusal.reason}")
    if problems:
        raise InputError(*problems)
    return parsed, short


def _gathered(raw: dict[str, pa.Array], contract: Contract) -> dict[str, pa.Array]:
    """The raw columns, with windows and contents of files in the place of what stands for them."""
    columns = {column.name: column.settings for column in contract.columns}
    windows = windows_of(contract.series, columns, contract.missing)
    if windows:
        batch = RawBatch("the table", np.arange(1, len(next(iter(raw.values()))) + 1), pa.table(raw))
        pieces = [piece.gathered for piece in windows.of(iter([batch]))]
        raw |= {name: pa.concat_arrays([piece[name] for piece in pieces]) for name in pieces[0]}
    return raw | {
        name: fetch(raw[name], str(Path(settings.folder).absolute()), contract.missing)
        for name, settings in columns.items()
        if isinstance(settings, FileSettings) and is_text(raw[name].type)
    }


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
