"""Made-up tables whose target can be learnt from their columns."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

NUMBERS = 20
CATEGORIES = (5, 50, 500)
"""Distinct values of each category."""
TARGET = "failed"
CHUNK = 250_000
SYLLABLES = ("ba", "den", "fir", "go", "lum", "mar", "no", "pel", "ris", "tor", "ul", "van", "wes", "yk", "zo")
WORDS = 9
"""Of a text."""


def write_table(path: Path, rows: int, seed: int, numbers: int = NUMBERS, labelled: bool = True) -> Path:
    """A Parquet file of `rows` rows: a key, numbers, categories, and the target if `labelled`; written in pieces."""
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = None
    for start in range(0, rows, CHUNK):
        table = _rows(rng, start, min(CHUNK, rows - start), numbers)
        table = table if labelled else table.drop_columns([TARGET])
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()
    return path


def write_texts(path: Path, rows: int, seed: int, labelled: bool = True) -> Path:
    """A Parquet file of a key and a text of about nine words a row, and the target if `labelled`; written in pieces."""
    rng = np.random.default_rng(seed)
    words = np.array([f"{a}{b}" for a in SYLLABLES for b in SYLLABLES], dtype=object)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = None
    for start in range(0, rows, CHUNK):
        picked = rng.zipf(1.3, size=(min(CHUNK, rows - start), WORDS)) % len(words)
        texts = [" ".join(row) for row in words[picked]]
        found = pa.array((picked == 0).any(axis=1)).cast(pa.int64())
        table = pa.table({"key": pa.array(range(start, start + len(texts))), "text": texts, TARGET: found})
        table = table if labelled else table.drop_columns([TARGET])
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()
    return path


def _rows(rng: np.random.Generator, start: int, rows: int, numbers: int) -> pa.Table:
    values = rng.normal(size=(numbers, rows))
    codes = [rng.integers(0, distinct, rows) for distinct in CATEGORIES]
    score = values[0] + values[1] * values[2] + (codes[0] - 2) * 0.5 + rng.normal(scale=0.5, size=rows)
    return pa.table(
        {
            "key": pa.array([f"row-{i:09d}" for i in range(start, start + rows)]),
            **{f"number {i}": column for i, column in enumerate(values)},
            **{f"category {i}": _texts(code, CATEGORIES[i]) for i, code in enumerate(codes)},
            TARGET: pa.array(score > 1).cast(pa.int64()),
        }
    )


def _texts(codes: np.ndarray[tuple[int], np.dtype[np.int64]], distinct: int) -> pa.Array:
    return pa.array([f"value {i}" for i in range(distinct)]).take(pa.array(codes))
