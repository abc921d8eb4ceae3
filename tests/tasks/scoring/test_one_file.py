"""Outputs that are one file: without a row, and with a suffix in capitals."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from tasks.data.rejects import SCHEMA
from tasks.scoring.destination import destination
from tasks.scoring.outputs import manifest_of, problems_of
from tasks.scoring.predictor import Predictor
from tests.tasks.scoring.scored_files import Run, new_rows
from tests.tasks.scoring.test_selected_rows import scored

SUFFIXES = ("parquet", "csv", "csv.gz", "jsonl", "jsonl.gz", "ndjson", "feather", "arrow")


def columns_of(path: Path) -> list[str]:
    """Of a file without rows, as far as its format names them."""
    if path.suffix in (".feather", ".arrow"):
        return list(pyarrow.feather.read_table(path, memory_map=False).column_names)
    return list(pq.read_schema(path).names if path.suffix == ".parquet" else pd.read_csv(path).columns)


def require_empty(output: Path, columns: set[str]) -> None:
    """Both files are there, hold their columns and no rows, and agree with the manifest."""
    wanted = destination(output)
    assert problems_of(str(output)) == []
    assert [file["rows"] for file in manifest_of(str(output))["files"]] == [0, 0]
    if wanted.format == "jsonl":
        opened = gzip.open if output.suffix == ".gz" else open
        for path in (wanted.predictions, wanted.rejects):
            with opened(path, "rb") as file:
                assert file.read() == b""
        return
    assert columns <= set(columns_of(wanted.predictions))
    assert columns_of(wanted.rejects) == SCHEMA.names


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_without_a_row_in_the_period_there_is_an_empty_output(
    predictor: Predictor, tmp_path: Path, suffix: str
) -> None:
    new_rows(20).assign(at="2024-01-01").to_csv(tmp_path / "in.csv", index=False)
    output = tmp_path / f"out.{suffix}"
    done = scored(predictor, tmp_path / "in.csv", output, since="2025-01-01", time="at")
    assert (done.rows, done.passed) == (20, 20)
    require_empty(output, {"id", "label", "run_id", "row"})


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_without_a_new_file_there_is_an_empty_output(predictor: Predictor, tmp_path: Path, suffix: str) -> None:
    new_rows(20).to_parquet(tmp_path / "in.parquet")
    scored(predictor, tmp_path / "in.parquet", tmp_path / "monday")
    output = tmp_path / f"out.{suffix}"
    assert scored(predictor, tmp_path / "in.parquet", output, new_since=str(tmp_path / "monday")).rows == 0
    require_empty(output, {"label", "run_id", "row"})


@pytest.mark.parametrize(
    ("name", "rows_of"),
    [("OUT.CSV.GZ", pd.read_csv), ("OUT.JSONL.GZ", lambda file: [json.loads(line) for line in file])],
)
def test_a_suffix_in_capitals_means_the_same(
    run: Run, rows_csv: Path, tmp_path: Path, name: str, rows_of: Callable[[object], object]
) -> None:
    run(rows_csv, output=name)
    with gzip.open(tmp_path / name, "rb") as file:
        assert len(rows_of(file)) == 198  # type: ignore[arg-type]
    assert problems_of(str(tmp_path / name)) == []
