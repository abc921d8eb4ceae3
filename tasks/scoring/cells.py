"""Cells that are Python objects become columns as Arrow has them, each as it would be read by itself."""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.columns import KINDS, ColumnSettings
from models.columns.cells import as_array
from models.columns.kind import FileSettings, Mask, Parsed, Refusal
from models.columns.number.feed import LARGEST
from models.columns.series.feed import SeriesSettings

Cells = Sequence[Any]
UNIFORM = frozenset((str, float, bool))
"""Types whose cells Arrow reads one by one, whatever stands beside them."""
WHOLE = 1 << 63
"""From here on whole numbers are none of Arrow's."""
NESTED = (dict, list, tuple, set, frozenset)
NOT_BASE64 = "not base64"
WRONG_TYPE = "wrong type"


def read_cells(cells: Cells, settings: ColumnSettings, missing: tuple[str, ...]) -> Parsed:
    """A column of cells in its kind's own Arrow type, and what can't be scored of it.

    Of cells of several types, as several callers send them, or one, each means what it means alone.
    """
    groups = None if isinstance(settings, FileSettings | SeriesSettings) else _unlike(cells)
    if groups is None:
        return _read_alike(cells, settings, missing)
    parts: list[pa.Array] = []
    masks: dict[str, Mask] = {}
    for rows in groups:
        parsed = _read_alike([cells[row] for row in rows], settings, missing)
        parts.append(as_array(parsed.values))
        for refusal in parsed.refusals:
            masks.setdefault(refusal.reason, np.zeros(len(cells), bool))[np.array(rows)[refusal.rows]] = True
    places = np.argsort([row for rows in groups for row in rows], kind="stable")
    values = as_array(pa.chunked_array(parts).unify_dictionaries()).take(pa.array(places))
    # As the kinds tell them: first what is none of theirs.
    reasons = sorted(masks, key=lambda reason: reason != WRONG_TYPE)
    return Parsed(values, tuple(Refusal(reason, masks[reason]) for reason in reasons))


def parse_cells(cells: Cells, settings: ColumnSettings, missing: tuple[str, ...]) -> pa.Array:
    """The same; null for what can't be scored."""
    return as_array(read_cells(cells, settings, missing).values)


def contents_of(cells: Cells) -> pa.Array:
    """Contents of files as they are read; null for what holds none."""
    return _contents(cells)[0].field("content")


def _unlike(cells: Cells) -> list[list[int]] | None:
    """Rows by what their cells are; None where nothing has to be told apart."""
    types = set(map(type, cells)) - {type(None)}
    if len(types) <= 1 and types <= UNIFORM:
        return None
    groups: dict[Any, list[int]] = {}
    for row, cell in enumerate(cells):
        groups.setdefault(_likeness(cell), []).append(row)
    return [*groups.values()] if len(groups.keys() - {type(None)}) > 1 else None


def _likeness(cell: Any) -> Any:
    """The same for cells that Arrow reads together as it reads each of them."""
    kind: Any = type(cell)
    if kind is int:
        return kind, -WHOLE <= cell < WHOLE
    if isinstance(cell, Decimal):
        return kind, cell.as_tuple().exponent
    if isinstance(cell, datetime):
        return kind, str(cell.tzinfo)
    return kind


def _read_alike(cells: Cells, settings: ColumnSettings, missing: tuple[str, ...]) -> Parsed:
    array, refused = _to_arrow(cells, settings)
    parsed = KINDS[settings.kind].parse(array, settings, missing)
    return Parsed(parsed.values, (*refused, *parsed.refusals)) if refused else parsed


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
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
        return _texts(cells)


def _texts(cells: Cells) -> tuple[pa.Array, list[Refusal]]:
    """Cells that Arrow does not know as texts, which the kinds read; lists, objects, half characters are no cells."""
    unfit = np.array([isinstance(cell, NESTED) or not _is_writable(cell) for cell in cells])
    texts = [None if cell is None or cell != cell or bad else str(cell) for cell, bad in zip(cells, unfit, strict=True)]
    return pa.array(texts, pa.string()), [Refusal(WRONG_TYPE, unfit)] if unfit.any() else []


def _is_writable(cell: Any) -> bool:
    try:
        str(cell).encode()
    except ValueError:
        # Half characters, and whole numbers of thousands of digits.
        return False
    return True


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
