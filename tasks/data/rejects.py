"""Rows set aside: one line each, with every reason, and sensitive values as hashes."""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.columns.kind import Mask
from tasks.data.batches import Malformed, RawBatch
from tasks.data.rowgroups import RowGroups

SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("row", pa.int64()),
        ("column", pa.string()),
        ("reason", pa.string()),
        ("values", pa.string()),
    ]
)
SEPARATOR = "; "
LONGEST_VALUE = 1000
"""Characters of one value that are kept."""


@dataclass(frozen=True)
class Finding:
    """Rows of one batch that break one rule in one column; `rows` is a mask of shape [N]."""

    column: str
    reason: str
    rows: Mask


def no_rejects() -> pa.Table:
    """A rejects table without rows."""
    return SCHEMA.empty_table()


def reject_rows(batch: RawBatch, findings: Sequence[Finding], sensitive: Collection[str]) -> pa.Table:
    """One reject per row that any finding marks, with its raw values; reasons and columns are joined by "; "."""
    bad = np.logical_or.reduce([finding.rows for finding in findings])
    positions = np.flatnonzero(bad)
    taken = batch.table.take(pa.array(positions))
    return pa.table(
        {
            "source": [batch.source] * len(positions),
            "row": batch.rows[positions],
            "column": _joined(findings, positions, "column"),
            "reason": _joined(findings, positions, "reason"),
            "values": raw_values(taken, sensitive),
        },
        schema=SCHEMA,
    )


def reject_malformed(source: str, malformed: Sequence[Malformed], sensitive: Collection[str]) -> pa.Table:
    """One reject per row without columns; its text is left out where the model has a sensitive column."""
    texts = [{} if sensitive else {"text": bad.text[:LONGEST_VALUE]} for bad in malformed]
    return pa.table(
        {
            "source": [source] * len(malformed),
            "row": [bad.row for bad in malformed],
            "column": [""] * len(malformed),
            "reason": [bad.reason for bad in malformed],
            "values": [json.dumps(text, ensure_ascii=False) for text in texts],
        },
        schema=SCHEMA,
    )


def raw_values(table: pa.Table, sensitive: Collection[str]) -> list[str]:
    """Each row as a JSON object of its raw values, sensitive ones as "sha256:" and 12 hexadecimal digits."""
    columns = {name: _shown(table[name], name in sensitive) for name in table.column_names}
    return [
        json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False)
        for row in zip(*columns.values(), strict=True)
    ]


def hashed(value: object) -> str | None:
    """What stands for a sensitive value wherever people may read it; None stays None."""
    return None if value is None else f"sha256:{hashlib.sha256(str(value).encode()).hexdigest()[:12]}"


def count_reasons(rejects: pa.Table) -> dict[str, int]:
    """Rows by first reason, most frequent first; the counts add up to the number of rejected rows."""
    if not len(rejects):
        return {}
    first = pc.list_element(pc.split_pattern(rejects["reason"], SEPARATOR), 0)
    counted = [(entry["values"].as_py(), entry["counts"].as_py()) for entry in pc.value_counts(first)]
    return dict(sorted(counted, key=lambda pair: (-pair[1], pair[0])))


def _joined(findings: Sequence[Finding], positions: NDArray[np.int64], field: str) -> list[str]:
    """Per rejected row the column names or reasons of its findings, in the order of the findings."""
    marks = np.stack([finding.rows[positions] for finding in findings], axis=1)
    words = [getattr(finding, field) for finding in findings]
    return [SEPARATOR.join(words[i] for i in np.flatnonzero(row)) for row in marks]


def _shown(column: pa.ChunkedArray, sensitive: bool) -> list[Any]:
    cells = column.to_pylist()
    if sensitive:
        return [hashed(cell) for cell in cells]
    return [_as_json(cell) for cell in cells]


def _as_json(cell: Any) -> Any:
    """Numbers, booleans and null as they are, the rest (infinities too) as text that is not endless."""
    if cell is None or isinstance(cell, bool | int):
        return cell
    if isinstance(cell, float):
        return cell if np.isfinite(cell) else str(cell)
    if isinstance(cell, bytes):
        return f"{len(cell)} bytes"
    return str(cell)[:LONGEST_VALUE]


class RejectsFile:
    """Rejects on their way into a Parquet file, counted by first reason; use as a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reasons: Counter[str] = Counter()
        self._writer = RowGroups(path, SCHEMA)

    def __enter__(self) -> "RejectsFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Finishes the file; rows can't be added afterwards."""
        self._writer.close()

    @property
    def total(self) -> int:
        """Rejected rows so far."""
        return self.reasons.total()

    def add(self, rejects: pa.Table) -> None:
        """Appends the rows of a rejects table."""
        self.reasons.update(count_reasons(rejects))
        self._writer.write_table(rejects)
