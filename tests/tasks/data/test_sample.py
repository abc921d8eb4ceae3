"""A sample is about as many rows of each file, in one type per column."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.data.sample import Sample, read_sample
from tasks.data.sources import resolve


def sample(folder: Path, rows: int = 100_000) -> Sample:
    return read_sample(resolve(str(folder)), rows=rows)


def test_each_file_gives_its_share(tmp_path: Path) -> None:
    for name, rows in (("a", 10), ("b", 100), ("c", 100)):
        pd.DataFrame({"x": range(rows)}).to_csv(tmp_path / f"{name}.csv", index=False)
    taken = sample(tmp_path, rows=90)
    assert np.bincount(taken.file).tolist() == [10, 40, 40]
    assert not taken.complete
    assert sample(tmp_path).complete


def test_types_that_differ_meet_in_one(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"n": [1, 2], "t": ["u", "v"], "only": [True, None], "none": pa.nulls(2)}), tmp_path / "a.parquet"
    )
    pq.write_table(pa.table({"n": [1.5], "t": [7], "none": pa.nulls(1)}), tmp_path / "b.parquet")
    assert sample(tmp_path).table.to_pydict() == {
        "n": [1.0, 2.0, 1.5],
        "t": ["u", "v", "7"],
        "only": [True, None, None],
        "none": [None] * 3,
    }


def test_nested_values_meet_texts_as_texts(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"x": [1]}) + "\n")
    (tmp_path / "b.jsonl").write_text(json.dumps({"x": "y"}) + "\n")
    assert sample(tmp_path).table["x"].to_pylist() == ["[1]", "y"]
