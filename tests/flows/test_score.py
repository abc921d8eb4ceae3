from pathlib import Path

import pandas as pd
from tests.conftest import Small
from tests.small import cli


def test_score_json(small: Small, rows_csv: Path, tmp_path: Path) -> None:
    done = cli("score", "small", "--input", rows_csv, "--output", tmp_path / "out", "--json")
    assert done.code == 0, done.both
    print(done.json)
