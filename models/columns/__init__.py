"""The table of column kinds. A new kind is one folder beside these and one line in `KINDS`."""

from collections.abc import Sequence
from typing import Any

from models.columns.audio.feed import AudioKind
from models.columns.boolean.feed import BooleanKind
from models.columns.category.feed import CategoryKind
from models.columns.datetime.feed import DatetimeKind
from models.columns.image.feed import ImageKind
from models.columns.kind import ColumnKind, ColumnSettings, Statistics
from models.columns.number.feed import NumberKind
from models.columns.series.feed import SeriesKind
from models.columns.text.feed import TextKind

KINDS: dict[str, ColumnKind[Any, Any]] = {
    kind.name: kind
    for kind in (
        NumberKind(),
        CategoryKind(),
        BooleanKind(),
        DatetimeKind(),
        TextKind(),
        ImageKind(),
        AudioKind(),
        SeriesKind(),
    )
}


def tensor_groups(kinds: Sequence[str]) -> dict[str, list[int]]:
    """Positions of the columns that become one tensor and have one encoder, by its name, in the order of the kinds.

    All columns of a joined kind are one group that is called as the kind is; of other kinds each column is one.
    """
    found: dict[str, list[int]] = {}
    for name, kind in KINDS.items():
        for position in (i for i, of_column in enumerate(kinds) if of_column == name):
            found.setdefault(name if kind.joined else f"{name}_{position}", []).append(position)
    return found


__all__ = ["KINDS", "ColumnKind", "ColumnSettings", "Statistics", "tensor_groups"]
