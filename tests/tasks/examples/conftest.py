from pathlib import Path

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def train(made: Path) -> pd.DataFrame:
    return pd.read_csv(made / "train.csv")


@pytest.fixture(scope="module")
def test(made: Path) -> pd.DataFrame:
    return pd.read_csv(made / "test.csv")
