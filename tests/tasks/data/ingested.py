"""What ingestion left, for tests."""

from pathlib import Path

import pandas as pd

from tasks.data.snapshot import Ingested, open_snapshot

COLUMNS = 'x = "number"\nc = "category"'


def rows_of(result: Ingested) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = open_snapshot(result.manifest).table(["x", "c", "y", "perennial.row"]).to_pylist()
    return rows


def write(path: Path, **columns: object) -> Path:
    pd.DataFrame(columns).to_csv(path, index=False)
    return path
