"""MLflow's way in: `mlflow.pyfunc.load_model` calls `_load_pyfunc` of this module."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from models.columns import KINDS
from models.columns.cells import is_text, plain
from models.columns.kind import FileSettings
from models.contract import Contract
from models.errors import InputError
from models.problems import near_match
from tasks.data.contents import fetch
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

        Raises InputError that names column and row, counted from 1, where a value can't be scored, and where no column
        of the model is there: MLflow hands on such a table without its rows.
        """
        _require_some_column(frame, self.predictor.contract)
        columns = _parse(frame, self.predictor.contract)
        predictions = self.predictor.predict(columns)
        named = output_columns(predictions, self.predictor.contract)
        scored: pd.DataFrame = pa.table({name: plain(array) for name, array in named.items()}).to_pandas()
        return scored.set_index(frame.index)


def _require_some_column(frame: pd.DataFrame, contract: Contract) -> None:
    given = [str(name) for name in frame.columns]
    wanted = [column.name for column in contract.columns]
    if set(given) & set(wanted):
        return
    missing = ", ".join(map(repr, wanted[:MOST_NAMED])) + (" and others" if len(wanted) > MOST_NAMED else "")
    hints = [f"column {name!r} is unknown{near_match(name, wanted)}" for name in given[:MOST_NAMED]]
    raise InputError(f"no column of {contract.name!r} is there; it takes {missing}", *hints)


def _parse(frame: pd.DataFrame, contract: Contract) -> dict[str, pa.Array]:
    parsed: dict[str, pa.Array] = {}
    problems: list[str] = []
    for column in contract.columns:
        kind = KINDS[column.settings.kind]
        raw = _to_arrow(frame, column.name)
        if isinstance(column.settings, FileSettings) and is_text(raw.type):
            raw = fetch(raw, str(Path(column.settings.folder).absolute()), contract.missing)
        result = kind.parse(raw, column.settings, contract.missing)
        parsed[column.name] = result.values
        problems += [f"{column.name!r}, row {int(r.rows.argmax()) + 1}: {r.reason}" for r in result.refusals]
    if problems:
        raise InputError(*problems)
    return parsed


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
