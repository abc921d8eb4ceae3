"""Scoring runs of a small model, for tests."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from tasks.scoring.batch import Stamp
from tasks.scoring.score import Scores
from tests.small import table

STAMP = Stamp("small", "1", "run-1")
Run = Callable[..., Scores]


def new_rows(count: int = 50, seed: int = 5) -> pd.DataFrame:
    return table(count, seed=seed).drop(columns="broken")


def visible(folder: Path) -> set[str]:
    """Names in a folder that do not begin with a dot."""
    return {name for name in left(folder) if not name.startswith(".")}


def only(folder: Path) -> Path:
    """The one file in a folder."""
    (path,) = folder.iterdir()
    return path


def left(folder: Path) -> set[str]:
    """Names in a folder, hidden ones too."""
    return {path.name for path in folder.iterdir()}
