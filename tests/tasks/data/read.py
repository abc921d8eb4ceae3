"""Rows of files, for tests."""

from pathlib import Path

import pyarrow as pa

from tasks.data.sources import RawBatch, read_batches, resolve


def read_all(path: Path | str, columns: list[str] | None = None) -> list[RawBatch]:
    return [batch for file in resolve(str(path)) for batch in read_batches(file, columns)]


def cells(path: Path | str, columns: list[str] | None = None) -> dict[str, list[object]]:
    tables = [batch.table for batch in read_all(path, columns)]
    found: dict[str, list[object]] = pa.concat_tables(tables, promote_options="permissive").to_pydict()
    return found


def written(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
