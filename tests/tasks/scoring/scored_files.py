"""Scoring runs of a small model, for tests."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa

from tasks.data.rejects import SCHEMA
from tasks.scoring.score import Scores, Stamp
from tasks.scoring.sinks import Destination, open_writer
from tests.small import table

STAMP = Stamp("small", "1", "run-1")
Run = Callable[..., Scores]


def new_rows(count: int = 50, seed: int = 5) -> pd.DataFrame:
    return table(count, seed=seed).drop(columns="broken")


def left(folder: Path) -> set[str]:
    """Names in a folder, hidden ones too."""
    return {path.name for path in folder.iterdir()}


def write_rejects(wanted: Destination, text: str) -> None:
    """Rejects as scoring writes them, of one row."""
    writer = open_writer(wanted.rejects, SCHEMA, wanted.format)
    row = {"source": "in", "row": 1, "column": "c", "reason": text, "values": "{}"}
    writer.write_table(pa.Table.from_pylist([row], schema=SCHEMA))
    writer.close()
