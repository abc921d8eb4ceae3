"""The table of column kinds. A new kind is one folder beside these and one line in `KINDS`."""

from typing import Any

from models.columns.boolean.feed import BooleanKind
from models.columns.category.feed import CategoryKind
from models.columns.datetime.feed import DatetimeKind
from models.columns.kind import ColumnKind, ColumnSettings, Statistics
from models.columns.number.feed import NumberKind

KINDS: dict[str, ColumnKind[Any, Any]] = {
    kind.name: kind for kind in (NumberKind(), CategoryKind(), BooleanKind(), DatetimeKind())
}

__all__ = ["KINDS", "ColumnKind", "ColumnSettings", "Statistics"]
