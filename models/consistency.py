"""What no section of a model file can know alone: that it does not fit another one."""

from collections.abc import Iterator, Mapping
from typing import Any

from models.actions import repeated_names
from models.windowing import is_series

RESERVED = "perennial."
"""Beginning of the names of columns that say where a row is from or on which side it is, rather than what it is."""


def cross_problems(raw: dict[str, Any], shares: Mapping[str, float]) -> Iterator[str]:
    """Lines about sections that don't fit together; sections with problems of their own are passed over.

    `shares` are those of validation and test where the file gives none.
    """
    columns, target, split, data = (section_of(raw, key) for key in ("columns", "target", "split", "data"))
    name = target.get("column") if isinstance(target.get("column"), str) else None
    if name in columns:
        yield f"columns.{name!r}: the target can't be a feature; remove the line"
    rules = [rule for rule in ("group", "time", "column") if split.get(rule)]
    if len(rules) > 1:
        yield f"split: {' and '.join(rules)} exclude each other; keep one"
    keys = split.get("key") if isinstance(split.get("key"), list) else []
    if name is not None and name in [*split.values(), *(keys or [])]:
        yield f"split: the target {name!r} can't decide the split"
    if split.get("newest_by") and not split.get("key"):
        yield "split.newest_by: needs split.key"
    held = [split.get(key, default) for key, default in shares.items()]
    if all(isinstance(share, int | float) for share in held) and sum(held) >= 1:
        yield "split: validation and test together leave nothing to train on"
    if (data.get("last_days") or data.get("last_rows")) and not split.get("time"):
        yield "data: last_days and last_rows need split.time"
    fewest, kept = section_of(raw, "schedule").get("min_new_rows"), data.get("last_rows")
    if isinstance(fewest, int) and isinstance(kept, int) and fewest > kept:
        yield "schedule.min_new_rows: more than data.last_rows keeps, so that no retraining would ever come; lower it"
    if name is not None and name == section_of(raw, "training").get("weight"):
        yield f"training.weight: the target {name!r} can't be the weight"
    for column in columns:
        if column.startswith(RESERVED):
            yield f"columns.{column!r}: names that start with {RESERVED!r} are reserved; rename the column"
    if section_of(raw, "schedule").get("monitor") and not section_of(raw, "monitor").get("input"):
        yield "schedule.monitor: needs monitor.input, the files that are monitored"
    if section_of(raw, "notify") and not {"webhook", "slack"} & set(section_of(raw, "notify")):
        yield "notify: says not whom; give webhook or slack, the name of a Prefect block"
    actions = raw.get("actions")
    yield from repeated_names(actions if isinstance(actions, list) else [])
    yield from _series_problems(raw)


def _series_problems(raw: dict[str, Any]) -> Iterator[str]:
    """Windows overlap, so that rows dealt out one by one would be learnt from and judged at once."""
    columns, split, series = (section_of(raw, key) for key in ("columns", "split", "series"))
    windowed = any(map(is_series, columns.values()))
    if "series" in raw and not windowed:
        yield "series: no column is a series; remove the section"
    target = section_of(raw, "target").get("column")
    if isinstance(target, str) and target in (series.get("group"), series.get("time")):
        yield f"series: the target {target!r} can't group or sort the rows"
    for name in (name for name, given in columns.items() if is_series(given) and "window" in section_of(columns, name)):
        yield f"columns.{name!r}.window: said once for all channels, as series.window; move it there"
    if windowed and not any(split.get(rule) for rule in ("group", "time", "column")) and not series.get("group"):
        yield "split: series need a group, a time or a column to split by; give series.group, or split.time"
    if split.get("time") and windowed and split["time"] != series.get("time"):
        yield f"split.time: windows are sorted by series.time; give {split['time']!r} there too"


def section_of(raw: dict[str, Any], key: str) -> dict[str, Any]:
    """The section where it is a table; nothing where it is missing or malformed."""
    section = raw.get(key)
    return section if isinstance(section, dict) else {}
