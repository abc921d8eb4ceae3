"""What [series] says to other sections of a model file: each channel's window, and the group that splits keep whole."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from models.sections import Series


def with_windows_shared(raw: dict[str, Any]) -> dict[str, Any]:
    """The raw model file with the window in each series column and, where no split rule is given, its group as one.

    Sections that are malformed are left as they are, for their own checks to say so.
    """
    columns, series, split = raw.get("columns"), raw.get("series") or {}, raw.get("split") or {}
    if not isinstance(columns, Mapping) or not any(map(is_series, columns.values())):
        return raw
    if not isinstance(series, Mapping) or not isinstance(split, Mapping):
        return raw
    window = _window_of(series)
    shared = {name: _with_window(given, window) if is_series(given) else given for name, given in columns.items()}
    if split.get("group") and not series.get("group"):
        series = {**series, "group": split["group"]}
    if series.get("group") and not any(split.get(rule) for rule in ("group", "time", "column")):
        split = {**split, "group": series["group"]}
    return {**raw, "columns": shared, "series": series, "split": split}


def is_series(given: Any) -> bool:
    """Whether a line of [columns] is a series."""
    return given == "series" or (isinstance(given, Mapping) and given.get("kind") == "series")


def _window_of(series: Mapping[str, Any]) -> int:
    try:
        return Series.model_validate(dict(series)).window
    except ValidationError:
        return Series().window


def _with_window(given: Any, window: int) -> dict[str, Any]:
    table = {"kind": "series"} if isinstance(given, str) else dict(given)
    return {**table, "window": window}
