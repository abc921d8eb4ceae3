"""Rows that are Python objects, as callers hold them or JSON has brought them, become graph inputs.

Plain cells of small tables take a short way that skips Arrow; all others go through `parse` of their kinds, so that a
row is read here as it is read in files.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.columns import KINDS
from models.columns.kind import LargeSettings, Refusal
from models.columns.number.feed import LARGEST, NumberSettings
from models.contract import Contract
from models.errors import InputError
from tasks.data.contents import row_bytes
from tasks.scoring.cells import Cells, read_cells

Row = Mapping[str, Any]
NUMERIC = frozenset((float, int, type(None)))
SPELT = frozenset((str, type(None)))
PLAIN = frozenset((str, bool, int, float, type(None)))
REMEMBERED = frozenset(("category", "boolean", "datetime"))
"""Kinds whose cells are short and come again."""
MOST_REMEMBERED, LONGEST_REMEMBERED, MOST_AT_ONCE = 4096, 100, 256
"""Cells of a column, characters of one, and rows from which on Arrow reads faster than a memory is searched."""
MOST_FINDINGS = 20
"""That are told of a column."""


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
        numbers = {n: s for n, s in self.columns.items() if isinstance(s, NumberSettings)}
        self.numbers = tuple(numbers)
        """Columns of numbers."""
        self.number_cells = _getter(self.numbers)
        """Takes the cells of all columns of numbers out of a row."""
        self.lowest = [max(-LARGEST, -np.inf if s.min is None else s.min) for s in numbers.values()]
        self.highest = [min(LARGEST, np.inf if s.max is None else s.max) for s in numbers.values()]
        """Of each column of numbers, that are accepted."""
        self._low, self._high = (np.array([[limit] for limit in side]) for side in (self.lowest, self.highest))
        self._others = tuple(name for name in self.columns if name not in numbers)
        kinds = {name: self.columns[name].kind for name in self._others}
        self.remembered: dict[str, dict[Any, NDArray[Any]]] = {n: {} for n, k in kinds.items() if k in REMEMBERED}
        """Inputs [1] by cell."""
        self._values: dict[str, dict[Any, Any]] = {name: {} for name in self.remembered}
        """What these hold."""
        self._types = {name: KINDS[kinds[name]].input_type for name in self.remembered}
        self.all_remembered = len(self.remembered) == len(self._others)
        """Whether all columns hold numbers, or short cells that come again."""

    def read_rows(self, rows: Sequence[Row]) -> dict[str, NDArray[Any]]:
        """Graph inputs [N, ...] of N > 0 rows that have every column of the model; others are ignored.

        None and NaN stand for a missing value, a picture or recording is its file's content, in bytes or base64, and a
        series the list of its window, the newest value last. Raises RowsError for what can't be scored: the columns
        that the first row lacks which lacks any, or the first cells that break a rule.
        """
        try:
            feed = self._read_one(rows[0]) if len(rows) == 1 and self.all_remembered else None
            if feed is not None:
                return feed
            numbers = self._numbers_of(rows)
            taken = self._others if numbers is not None else self.columns
            cells = {name: [row[name] for row in rows] for name in taken}
        except KeyError:
            raise RowsError(self._absent(rows)) from None
        return self._read_others(numbers, cells)

    def read_columns(self, columns: Mapping[str, Cells]) -> dict[str, NDArray[Any]]:
        """The same of cells by column, all of one length. Raises KeyError where a column is not there."""
        return self._read_others(self._read_numbers(columns), columns)

    def _read_others(
        self, numbers: dict[str, NDArray[Any]] | None, columns: Mapping[str, Cells]
    ) -> dict[str, NDArray[Any]]:
        """All graph inputs; `numbers` are None where one is not plain."""
        feed, slow = ({}, list(self.numbers)) if numbers is None else (numbers, [])
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
        numbers = self._to_numbers(self.number_cells(row))
        if numbers is None:
            return None
        feed = self._as_feed([numbers])
        try:
            for name, known in self.remembered.items():
                cell = row[name]
                found = known.get(cell if type(cell) is str or cell is None else (type(cell), cell))
                if found is None:
                    return None
                feed[name] = found
        except TypeError:
            return None
        return feed

    def _numbers_of(self, rows: Sequence[Row]) -> dict[str, NDArray[Any]] | None:
        """All columns of numbers, or None where a cell is no plain number within its limits."""
        return self._read_flat(list(chain.from_iterable(map(self.number_cells, some))) for some in _pieces(rows))

    def _read_numbers(self, columns: Mapping[str, Cells]) -> dict[str, NDArray[Any]] | None:
        """The same of cells by column."""
        pieces = zip(*(_pieces(columns[name]) for name in self.numbers), strict=True)
        return self._read_flat(list(chain.from_iterable(zip(*some, strict=True))) for some in pieces)

    def _read_flat(self, pieces: Iterable[list[Any]]) -> dict[str, NDArray[Any]] | None:
        """Numbers given row by row, some rows at a time: while Python builds an array others wait for their answers."""
        parts = []
        for cells in pieces:
            numbers = self._to_numbers(cells)
            if numbers is None:
                return None
            parts.append(numbers)
        return self._as_feed(parts)

    def _as_feed(self, parts: Sequence[NDArray[np.float64]]) -> dict[str, NDArray[Any]]:
        if not self.numbers:
            return {}
        numbers = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return dict(zip(self.numbers, numbers.astype(np.float32, order="C"), strict=True))

    def _to_numbers(self, cells: Cells) -> NDArray[np.float64] | None:
        """[C, N] for the C cells of each of N rows; None where one is no plain number in its limits."""
        types = set(map(type, cells))
        if not types <= NUMERIC:
            return None
        try:
            filled = type(None) not in types
            numbers = np.fromiter(cells, np.float64, len(cells)) if filled else np.array(cells, np.float64)
        except OverflowError:
            return None
        numbers = numbers.reshape(-1, max(1, len(self.numbers))).T
        return numbers if self.are_within(numbers) else None

    def are_within(self, numbers: NDArray[np.float64]) -> bool:
        """Whether numbers [C, N] are within the limits of their columns; a NaN always is."""
        return not ((numbers < self._low) | (numbers > self._high)).any()

    def _recall(self, name: str, cells: Cells) -> NDArray[Any] | None:
        """What the cells came to before, or None where one is new."""
        known = self._values.get(name)
        if known is None or len(cells) > MOST_AT_ONCE:
            return None
        try:
            if set(map(type, cells)) <= SPELT:
                found = list(map(known.__getitem__, cells))
            else:
                found = [
                    known[cell] if type(cell) is str or cell is None else known[type(cell), cell] for cell in cells
                ]
        except (KeyError, TypeError):
            return None
        return np.array(found, self._types[name])

    def _remember(self, name: str, cells: Cells, feed: NDArray[Any]) -> None:
        known = self.remembered.get(name)
        if known is None or len(cells) > MOST_AT_ONCE:
            return
        values = self._values[name]
        if len(known) > MOST_REMEMBERED:
            known.clear()
            values.clear()
        for place, cell in enumerate(cells):
            key: Any = cell if type(cell) is str or cell is None else (type(cell), cell)
            if type(cell) not in PLAIN or (type(cell) is str and len(cell) > LONGEST_REMEMBERED):
                continue
            # A copy: a part of the array would keep all of it.
            value = feed[place : place + 1].copy()
            value.flags.writeable = False
            known[key], values[key] = value, value[0]

    def _parse(self, columns: Mapping[str, Cells], names: Sequence[str]) -> dict[str, NDArray[Any]]:
        findings: list[Finding] = []
        feed: dict[str, NDArray[Any]] = {}
        for name in names:
            settings, cells = self.columns[name], columns[name]
            kind = KINDS[settings.kind]
            parsed = read_cells(cells, settings, self._missing)
            if parsed.refusals:
                findings += _findings(name, parsed.refusals)
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


def _pieces(cells: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(cells), MOST_AT_ONCE):
        yield cells[start : start + MOST_AT_ONCE]


def _hint(name: str, unknown: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, unknown, n=1)
    return f" (did you mean it by {near[0]!r}?)" if near else ""


def _findings(name: str, refusals: Iterable[Refusal]) -> list[Finding]:
    return [
        Finding(name, refusal.reason, int(row) + 1)
        for refusal in refusals
        for row in np.flatnonzero(refusal.rows)[:MOST_FINDINGS]
    ]
