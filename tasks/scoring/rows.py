"""Rows that are Python objects, as callers hold them or JSON has brought them, become graph inputs.

Plain cells of small tables take a short way that skips Arrow; all others go through `parse` of their kinds, so that a
row is read here as it is read in files.
"""

import base64
import binascii
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.columns import KINDS, ColumnSettings
from models.columns.cells import as_array
from models.columns.kind import FileSettings, LargeSettings, Refusal
from models.columns.number.feed import LARGEST, NumberSettings
from models.columns.series.feed import SeriesSettings
from models.contract import Contract
from models.errors import InputError
from tasks.data.contents import row_bytes

Row = Mapping[str, Any]
Cells = Sequence[Any]
NUMERIC = frozenset((float, int, type(None)))
REMEMBERED = frozenset(("category", "boolean", "datetime"))
"""Kinds whose cells are short and come again."""
MOST_REMEMBERED, LONGEST_REMEMBERED, MOST_AT_ONCE = 4096, 100, 256
"""Cells of a column, characters of one, and rows from which on Arrow reads faster than a memory is searched."""
MOST_FINDINGS = 20
"""That are told of a column."""
NESTED = (dict, list, tuple, set, frozenset)
NOT_BASE64 = "not base64"
WRONG_TYPE = "wrong type"


@dataclass(frozen=True)
class Finding:
    """A cell that can't be scored, or, without a row, a column that is not there."""

    column: str
    reason: str
    row: int | None
    """Counted from 1, as in files."""

    def __str__(self) -> str:
        return (
            f"{self.column!r}: {self.reason}" if self.row is None else f"{self.column!r}, row {self.row}: {self.reason}"
        )


class RowsError(InputError):
    """Rows that can't be scored."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(*map(str, findings))
        self.findings = tuple(findings)


class RowReader:
    """Reads rows for one contract; threads may share it."""

    def __init__(self, contract: Contract) -> None:
        self.columns = {column.name: column.settings for column in contract.columns}
        self.plain = not any(isinstance(s, LargeSettings) for s in self.columns.values())
        """Whether no column holds texts, pictures or recordings, which take longer to read."""
        self.row_bytes = row_bytes(self.columns)
        """Of the graph inputs of one row in columns whose values have a shape."""
        self._missing = contract.missing
        self._cells = _getter(tuple(self.columns))
        numbers = {n: s for n, s in self.columns.items() if isinstance(s, NumberSettings)}
        self._numbers = tuple(numbers)
        self._number_cells = _getter(self._numbers)
        self._low = np.array([[max(-LARGEST, -np.inf if s.min is None else s.min)] for s in numbers.values()])
        self._high = np.array([[min(LARGEST, np.inf if s.max is None else s.max)] for s in numbers.values()])
        self._others = tuple(name for name in self.columns if name not in numbers)
        self._remembered: dict[str, dict[Any, NDArray[Any]]] = {
            name: {} for name in self._others if self.columns[name].kind in REMEMBERED
        }
        self._all_remembered = len(self._remembered) == len(self._others)
        """Inputs [1] by cell."""

    def read_rows(self, rows: Sequence[Row]) -> dict[str, NDArray[Any]]:
        """Graph inputs [N, ...] of N > 0 rows that have every column of the model; others are ignored.

        None and NaN stand for a missing value, a picture or recording is its file's content, in bytes or base64, and a
        series the list of its window, the newest value last. Raises RowsError for what can't be scored: the columns
        that the first row lacks which lacks any, or the first cells that break a rule.
        """
        try:
            feed = self._read_one(rows[0]) if len(rows) == 1 and self._all_remembered else None
            if feed is not None:
                return feed
            cells = zip(*map(self._cells, rows), strict=True)
            return self.read_columns(dict(zip(self.columns, cells, strict=True)))
        except KeyError:
            raise RowsError(self._absent(rows)) from None

    def read_columns(self, columns: Mapping[str, Cells]) -> dict[str, NDArray[Any]]:
        """The same of cells by column, all of one length. Raises KeyError where a column is not there."""
        feed = self._read_numbers(columns) if self._numbers else {}
        slow = [] if feed is not None else list(self._numbers)
        feed = feed or {}
        for name in self._others:
            found = self._recall(name, columns[name])
            if found is None:
                slow.append(name)
            else:
                feed[name] = found
        return feed | self._parse(columns, slow) if slow else feed

    def absent(self, given: Iterable[str], row: int | None = None) -> list[Finding]:
        """A finding for each column of the model that is not among the given ones."""
        names = set(given)
        unknown = sorted(name for name in names - self.columns.keys() if len(name) <= LONGEST_REMEMBERED)[
            :MOST_FINDINGS
        ]
        return [
            Finding(name, f"is missing{_hint(name, unknown)}; give null where it is not known", row)
            for name in self.columns
            if name not in names
        ]

    def _absent(self, rows: Sequence[Row]) -> list[Finding]:
        number, row = next((n, row) for n, row in enumerate(rows, 1) if not row.keys() >= self.columns.keys())
        return self.absent(row, number)

    def _read_one(self, row: Row) -> dict[str, NDArray[Any]] | None:
        """One row without a list for each of its columns, or None where a cell is not plain or new."""
        numbers = self._to_numbers(self._number_cells(row)) if self._numbers else np.empty((0, 1))
        if numbers is None:
            return None
        feed = dict(zip(self._numbers, numbers.astype(np.float32), strict=True))
        try:
            for name, known in self._remembered.items():
                cell = row[name]
                found = known.get(cell if type(cell) is str or cell is None else (type(cell), cell))
                if found is None:
                    return None
                feed[name] = found
        except TypeError:
            return None
        return feed

    def _read_numbers(self, columns: Mapping[str, Cells]) -> dict[str, NDArray[Any]] | None:
        """All columns of numbers, or None where a cell is no plain number within its limits."""
        cells: list[Any] = []
        for name in self._numbers:
            cells += columns[name]
        numbers = self._to_numbers(cells)
        return None if numbers is None else dict(zip(self._numbers, numbers.astype(np.float32), strict=True))

    def _to_numbers(self, cells: Cells) -> NDArray[np.float64] | None:
        """[C, N] for the cells of C columns one behind the other; None where one is no plain number in its limits."""
        if not NUMERIC.issuperset(map(type, cells)):
            return None
        try:
            numbers = np.array(cells, np.float64).reshape(len(self._numbers), -1)
        except OverflowError:
            return None
        # A NaN is never outside.
        return None if ((numbers < self._low) | (numbers > self._high)).any() else numbers

    def _recall(self, name: str, cells: Cells) -> NDArray[Any] | None:
        """What the cells came to before, or None where one is new."""
        known = self._remembered.get(name)
        if known is None or len(cells) > MOST_AT_ONCE:
            return None
        try:
            found = [known[cell] if type(cell) is str or cell is None else known[type(cell), cell] for cell in cells]
        except (KeyError, TypeError):
            return None
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _remember(self, name: str, cells: Cells, feed: NDArray[Any]) -> None:
        known = self._remembered.get(name)
        if known is None or len(cells) > MOST_AT_ONCE:
            return
        if len(known) > MOST_REMEMBERED:
            known.clear()
        for place, cell in enumerate(cells):
            # A copy: a part of the array would keep all of it.
            value = feed[place : place + 1].copy()
            value.flags.writeable = False
            if (type(cell) is str and len(cell) <= LONGEST_REMEMBERED) or cell is None:
                known[cell] = value
            elif type(cell) in (bool, int, float):
                known[type(cell), cell] = value

    def _parse(self, columns: Mapping[str, Cells], names: Sequence[str]) -> dict[str, NDArray[Any]]:
        findings: list[Finding] = []
        feed: dict[str, NDArray[Any]] = {}
        for name in names:
            settings, cells = self.columns[name], columns[name]
            kind = KINDS[settings.kind]
            array, refused = _to_arrow(cells, settings)
            parsed = kind.parse(array, settings, self._missing)
            refusals = [*refused, *parsed.refusals]
            if refusals:
                findings += _findings(name, refusals)
            else:
                feed[name] = kind.to_input(parsed.values, settings)
                self._remember(name, cells, feed[name])
        if findings:
            raise RowsError(findings)
        return feed


def _getter(names: tuple[str, ...]) -> Callable[[Row], tuple[Any, ...]]:
    """What takes the cells of these columns out of a row, in their order. It raises KeyError."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda row: tuple(row[name] for name in names)


def _hint(name: str, unknown: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, unknown, n=1)
    return f" (did you mean it by {near[0]!r}?)" if near else ""


def parse_cells(cells: Cells, settings: ColumnSettings, missing: tuple[str, ...]) -> pa.Array:
    """A column of cells in its kind's own Arrow type, as `RowReader` reads each of them; null for what can't be scored.

    Cells of several types, as several callers send them, are read type by type.
    """
    kind, parts, places = KINDS[settings.kind], [], []
    for rows in _of_one_type(cells):
        array, _ = _to_arrow(cells if rows is None else [cells[row] for row in rows], settings)
        parts.append(as_array(kind.parse(array, settings, missing).values))
        places += [] if rows is None else rows
    if not places:
        return parts[0]
    return as_array(pa.chunked_array(parts).unify_dictionaries()).take(pa.array(np.argsort(places, kind="stable")))


def _of_one_type(cells: Cells) -> list[list[int] | None]:
    """Rows whose cells are alike; None for all of them, where there is nothing to tell apart."""
    types: dict[type, list[int]] = {}
    if len(set(map(type, cells)) - {type(None)}) <= 1:
        return [None]
    for row, cell in enumerate(cells):
        types.setdefault(type(cell), []).append(row)
    return [*types.values()]


def contents_of(cells: Cells) -> pa.Array:
    """Contents of files as `RowReader` reads them; null for what holds none."""
    return _contents(cells)[0].field("content")


def _findings(name: str, refusals: Iterable[Refusal]) -> list[Finding]:
    return [
        Finding(name, refusal.reason, int(row) + 1)
        for refusal in refusals
        for row in np.flatnonzero(refusal.rows)[:MOST_FINDINGS]
    ]


def _to_arrow(cells: Cells, settings: ColumnSettings) -> tuple[pa.Array, list[Refusal]]:
    """The cells as Arrow has them, those left out that no array of the kind can hold."""
    if isinstance(settings, FileSettings):
        return _contents(cells)
    if isinstance(settings, SeriesSettings):
        return _windows(cells, settings)
    if any(isinstance(cell, NESTED) for cell in cells):
        # Arrow would look for one type of all their parts, which takes minutes where these have many names.
        return _texts(cells)
    try:
        return pa.array(cells, from_pandas=True), []
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return _texts(cells)


def _texts(cells: Cells) -> tuple[pa.Array, list[Refusal]]:
    """Cells of several types as texts, which the kinds read; lists and objects are no cells."""
    nested = np.array([isinstance(cell, NESTED) for cell in cells])
    texts = [
        None if cell is None or cell != cell or bad else str(cell) for cell, bad in zip(cells, nested, strict=True)
    ]
    return pa.array(texts, pa.string()), [Refusal(WRONG_TYPE, nested)] if nested.any() else []


def _contents(cells: Cells) -> tuple[pa.Array, list[Refusal]]:
    """Contents of files, as the kinds of files take them."""
    found = [_content(cell) for cell in cells]
    contents = pa.array([content for content, _ in found], pa.large_binary())
    failures = pa.array([failure for _, failure in found], pa.string())
    return pa.StructArray.from_arrays([contents, failures], ["content", "failure"]), []


def _content(cell: Any) -> tuple[bytes | None, str | None]:
    if cell is None or isinstance(cell, bytes | bytearray | memoryview):
        return None if cell is None else bytes(cell), None
    if not isinstance(cell, str):
        return None, WRONG_TYPE
    try:
        # A data URL says before the comma what it holds.
        return base64.b64decode(cell.rpartition(",")[2], validate=True), None
    except (binascii.Error, ValueError):
        return None, NOT_BASE64


def _windows(cells: Cells, settings: SeriesSettings) -> tuple[pa.Array, list[Refusal]]:
    """Windows, as the kind of series takes them."""
    wanted = pa.binary(4 * settings.window)
    values: list[bytes | None] = []
    reasons: list[str | None] = []
    for cell in cells:
        window, reason = (None, None) if cell is None else _window(cell, settings.window)
        values.append(None if window is None else window.tobytes())
        reasons.append(reason)
    return pa.StructArray.from_arrays(
        [pa.array(values, wanted), pa.array(reasons, pa.string())], ["content", "failure"]
    ), []


def _window(cell: Any, length: int) -> tuple[NDArray[np.float32] | None, str | None]:
    try:
        window = np.asarray(cell, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None, WRONG_TYPE
    if window.shape != (length,):
        return None, f"a window is a list of {length} numbers"
    if (np.abs(window) > LARGEST).any():
        return None, "not finite"
    return window.astype(np.float32), None
