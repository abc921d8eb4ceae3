"""Rows become windows: sorted by time within their group, each row with enough rows before it ends one.

One shared way for training, batch and live scoring. A file is looked at as a whole; groups go on from file to file.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.columns import KINDS, ColumnSettings
from models.columns.category.feed import CategorySettings
from models.columns.cells import as_fixed
from models.columns.datetime.feed import DatetimeSettings
from models.columns.kind import Parsed
from models.columns.number.feed import NumberSettings
from models.columns.series.feed import SeriesSettings
from models.errors import InputError
from models.modelfile import ModelFile
from models.sections import Series
from tasks.data.batches import RawBatch
from tasks.data.heldwindows import hold_windows, with_held_windows
from tasks.data.layout import WINDOW_SPAN

TOO_SHORT = "window too short"
BYTES_AT_ONCE = 1 << 26
Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]
Reasons = dict[str, NDArray[np.object_]]
"""Why a row ends no window, by channel; None where it does."""


@dataclass(frozen=True)
class Sequences:
    """Rows of one file and those carried over from earlier ones, sorted by group and time, without unusable ones."""

    values: Floats
    """[M, C]."""
    target: NDArray[np.float64] | None
    """[M], where windows have a target over all of their rows."""
    group: pa.Array
    """Name of the group of each row, [M]."""
    part: pa.Array
    """What keeps rows of one group apart, [M]: no window holds two of these."""
    time: NDArray[np.float64]
    row: Numbers
    """Position in the file, -1 for rows of earlier ones."""
    place: Numbers
    """Rows since the start of the group, of the part, or the last gap."""


def windows_of(
    series: Series | None,
    columns: Mapping[str, ColumnSettings],
    missing: Sequence[str],
    target: str | None = None,
    apart: Sequence[str] = (),
) -> "Windows | None":
    """What makes windows of rows, where a column is a series; see `Windows` for the arguments."""
    has_series = any(settings.kind == "series" for settings in columns.values())
    return Windows(series or Series(), columns, missing, target, apart) if has_series else None


def learnt_windows(model_file: ModelFile) -> "Windows | None":
    """What makes windows to learn from: none holds rows of two splits."""
    split, series = model_file.split, model_file.series or Series()
    apart = [name for name in (split.group, split.column) if name and name != series.group]
    missing, target = model_file.data.missing, model_file.target.column
    return windows_of(model_file.series, model_file.columns, missing, target, apart)


class Windows:
    """Turns the batches of one file after the other into batches of windows; keeps the ends of their groups."""

    def __init__(
        self,
        series: Series,
        columns: Mapping[str, ColumnSettings],
        missing: Sequence[str],
        target: str | None = None,
        apart: Sequence[str] = (),
    ) -> None:
        """`target` is the column to learn; None while scoring, when every row with a full window ends one.

        Where the value of a column in `apart` changes, a new series begins.
        """
        self._series = series
        lengths = {name: settings.window for name, settings in columns.items() if isinstance(settings, SeriesSettings)}
        self._channels, self._lengths = [*lengths], lengths
        self._missing, self._learns = tuple(missing), target is not None
        self._target = target if series.target != "end" else None
        self._stride = 1 if target is None else series.stride
        self._apart = tuple(apart)
        self._carried: dict[str, Sequences] = {}
        self._blamed: dict[str, str] = {}

    def of(self, batches: Iterator[RawBatch], split: str = "") -> Iterator[RawBatch]:
        """The rows of one file with the windows that they end under `gathered`, in the order of the file.

        Groups go on from earlier files of the same declared `split`, where time tells that they do. Rows that hold
        windows themselves, as those of logged requests do, keep them. Raises InputError for such rows to learn from.
        """
        read = list(batches)
        if not read:
            return
        if hold_windows(read[0], self._lengths):
            if self._learns:
                names = ", ".join(map(repr, self._channels))
                raise InputError(
                    f"{read[0].source}: {names}: lists are for scoring; to learn from, give a number a row"
                )
            yield from (with_held_windows(batch, self._lengths) for batch in read)
            return
        table = _stacked([batch.table for batch in read])
        rows = np.concatenate([batch.rows for batch in read])
        whole = RawBatch(read[0].source, rows, table, tuple(bad for batch in read for bad in batch.malformed))
        yield from self._windows(whole, split)

    def _windows(self, whole: RawBatch, split: str) -> Iterator[RawBatch]:
        reasons: Reasons = {name: np.full(len(whole.rows), None, dtype=object) for name in self._channels}
        sequences = self._sequences(whole, reasons, self._carried.get(split))
        if self._series.time is not None:
            self._carried[split] = _tail(sequences, self._series.window - 1)
        position = np.full(len(whole.rows), -1, dtype=np.int64)
        own = sequences.row >= 0
        position[sequences.row[own]] = np.flatnonzero(own)
        place = np.full(len(whole.rows), -1, dtype=np.int64)
        place[sequences.row[own]] = sequences.place[own]
        self._note(reasons, (position >= 0) & (place < self._series.window - 1), TOO_SHORT)
        # Counted from the first full window, so that no group that has one is left without.
        kept = np.flatnonzero(
            (place < self._series.window - 1) | ((place + 1 - self._series.window) % self._stride == 0)
        )
        size = max(1, BYTES_AT_ONCE // (4 * self._series.window * len(self._channels)))
        for start in range(0, max(len(kept), 1), size):
            chosen = kept[start : start + size]
            malformed = whole.malformed if start == 0 else ()
            skipped = len(whole.rows) - len(kept) if start == 0 else 0
            table = whole.table.take(pa.array(chosen))
            gathered = self._gathered(sequences, position[chosen], {name: why[chosen] for name, why in reasons.items()})
            yield RawBatch(whole.source, whole.rows[chosen], table, malformed, gathered, skipped, self._blamed)

    def _note(self, reasons: Reasons, rows: NDArray[np.bool_], reason: str, blamed: str | None = None) -> None:
        """Says it of the first channel alone: once is enough for a reject, which may blame another column."""
        if blamed:
            self._blamed[reason] = blamed
        first = reasons[self._channels[0]]
        first[rows & pd.isna(first)] = reason

    def _gathered(self, sequences: Sequences, position: Numbers, reasons: Reasons) -> dict[str, pa.Array]:
        """The windows that end at `position` in the sequences, -1 for none, by channel; and the target over them."""
        window = self._series.window
        if not len(sequences.row):
            sequences = self._unmeasured()
        index = np.maximum(position[:, None] + np.arange(1 - window, 1), 0)
        full = pd.isna(reasons[self._channels[0]])
        found: dict[str, pa.Array] = {}
        for channel, name in enumerate(self._channels):
            content = np.ascontiguousarray(sequences.values[:, channel][index], dtype="<f4")
            stored = as_fixed(content, full)
            found[name] = pa.StructArray.from_arrays(
                [stored, pa.array(reasons[name], pa.string())], ["content", "failure"]
            )
        found[WINDOW_SPAN] = pa.array(sequences.time[index[:, -1]] - sequences.time[index[:, 0]])
        if self._target is not None and sequences.target is not None:
            over = _largest if self._series.target == "max" else _mean
            found[self._target] = pa.array(over(sequences.target[index]), pa.float64(), mask=~full)
        return found

    def _unmeasured(self) -> Sequences:
        """One row to look at where a file has none that can be used."""
        nothing = np.full((1, len(self._channels)), np.nan, dtype=np.float32)
        none = np.full(1, -1, dtype=np.int64)
        return Sequences(nothing, np.full(1, np.nan), pa.array([""]), pa.array([""]), np.zeros(1), none, none)

    def _sequences(self, whole: RawBatch, reasons: Reasons, carried: Sequences | None) -> Sequences:
        """The usable rows behind those that earlier files left; notes why others are not usable."""
        count = len(whole.rows)
        values = np.stack([self._channel(whole, name, reasons[name]) for name in self._channels], axis=1)
        group, ungrouped = self._groups(whole)
        time, untimed = self._times(whole)
        self._note(reasons, ungrouped, f"missing {self._series.group}", self._series.group)
        self._note(reasons, untimed & ~ungrouped, f"no time in {self._series.time}", self._series.time)
        usable = ~(ungrouped | untimed)
        kept = pa.array(usable)
        own = Sequences(
            values[usable],
            self._targets(whole, usable),
            group.filter(kept),
            self._parts(whole).filter(kept),
            time[usable],
            np.flatnonzero(usable),
            np.zeros(int(usable.sum()), dtype=np.int64),
        )
        joined = own if carried is None else _joined(carried, own)
        codes = joined.group.dictionary_encode().indices.to_numpy()
        order = np.lexsort((joined.row, joined.time, codes))
        joined, codes = _taken(joined, order), codes[order]
        twice = (np.diff(codes, prepend=-1) == 0) & (np.diff(joined.time, prepend=np.nan) == 0)
        repeated = np.isin(np.arange(count), joined.row[twice & (joined.row >= 0)])
        self._note(reasons, repeated, "duplicate time", self._series.time)
        joined, codes = _taken(joined, np.flatnonzero(~twice)), codes[~twice]
        parts = joined.part.dictionary_encode().indices.to_numpy()
        starts = (np.diff(codes, prepend=-1) != 0) | (np.diff(parts, prepend=-1) != 0)
        if self._series.max_gap is not None:
            starts |= np.diff(joined.time, prepend=0.0) > self._series.max_gap
        first = np.maximum.accumulate(np.where(starts, np.arange(len(codes)), 0))
        return replace(joined, place=np.arange(len(codes)) - first)

    def _channel(self, whole: RawBatch, name: str, reasons: NDArray[np.object_]) -> Floats:
        parsed = KINDS["number"].parse(whole.table[name], NumberSettings(), self._missing)
        for refusal in parsed.refusals:
            reasons[refusal.rows] = refusal.reason
        return np.asarray(parsed.values.to_numpy(zero_copy_only=False), dtype=np.float32)

    def _targets(self, whole: RawBatch, usable: NDArray[np.bool_]) -> NDArray[np.float64] | None:
        if self._target is None:
            return None
        parsed = KINDS["number"].parse(whole.table[self._target], NumberSettings(), self._missing)
        if parsed.refusals:
            raise InputError(f"{whole.source}: series.target = {self._series.target!r} needs a target of numbers")
        return np.asarray(parsed.values.to_numpy(zero_copy_only=False), dtype=np.float64)[usable]

    def _groups(self, whole: RawBatch) -> tuple[pa.Array, NDArray[np.bool_]]:
        if self._series.group is None:
            return pa.array([""] * len(whole.rows)), np.zeros(len(whole.rows), dtype=bool)
        names = self._texts(whole, self._series.group)
        return names, np.asarray(names.is_null())

    def _parts(self, whole: RawBatch) -> pa.Array:
        if not self._apart:
            return pa.array([""] * len(whole.rows))
        texts = [pc.fill_null(self._texts(whole, name), "") for name in self._apart]
        return pc.binary_join_element_wise(*texts, "\0")

    def _texts(self, whole: RawBatch, name: str) -> pa.Array:
        settings = CategorySettings(max_characters=10_000, min_count=1)
        return KINDS["category"].parse(whole.table[name], settings, self._missing).values.cast(pa.string())

    def _times(self, whole: RawBatch) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Seconds since 1970 where a format is given or more cells read as dates than as numbers; else numbers."""
        if self._series.time is None:
            return whole.rows.astype(np.float64), np.zeros(len(whole.rows), dtype=bool)
        raw, form = whole.table[self._series.time], self._series.time_format
        numbers = KINDS["number"].parse(raw, NumberSettings(), self._missing)
        instants = KINDS["datetime"].parse(raw, DatetimeSettings(format=form), self._missing)
        if form is not None or _refused(instants) < _refused(numbers):
            found = pc.divide(instants.values.cast(pa.int64()).cast(pa.float64(), safe=False), 1e6)
        else:
            found = numbers.values
        stamps = np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.float64)
        return stamps, np.isnan(stamps)


def _largest(windows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.fmax.reduce(windows, axis=1))


def _mean(windows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of what is not missing; NaN where all is."""
    given = ~np.isnan(windows)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(given, windows, 0.0).sum(axis=1) / given.sum(axis=1))


def _stacked(tables: Sequence[pa.Table]) -> pa.Table:
    """The tables one behind the other; columns whose types don't go together are texts, as in JSON lines."""
    found: dict[str, set[pa.DataType]] = {}
    for field in (field for table in tables for field in table.schema):
        found.setdefault(field.name, set()).add(field.type)
    mixed = {name for name, types in found.items() if not _go_together(types)}
    return pa.concat_tables([_with_texts(table, mixed) for table in tables], promote_options="permissive")


def _go_together(types: Collection[pa.DataType]) -> bool:
    try:
        pa.unify_schemas([pa.schema([("x", kind)]) for kind in types], promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return False
    return True


def _with_texts(table: pa.Table, names: Collection[str]) -> pa.Table:
    kinds = [pa.field(field.name, pa.string()) if field.name in names else field for field in table.schema]
    return table.cast(pa.schema(kinds)) if names else table


def _refused(parsed: Parsed) -> int:
    return sum(int(refusal.rows.sum()) for refusal in parsed.refusals)


def _taken(rows: Sequences, index: Numbers) -> Sequences:
    target = None if rows.target is None else rows.target[index]
    group = rows.group.take(pa.array(index))
    part, time = rows.part.take(pa.array(index)), rows.time[index]
    return Sequences(rows.values[index], target, group, part, time, rows.row[index], rows.place[index])


def _joined(earlier: Sequences, own: Sequences) -> Sequences:
    """Carried rows of the groups that go on, before the file's own; a group whose clock jumped back starts anew."""
    if own.time.size:
        begins, ended = _outermost(own, "min", earlier.group), _outermost(earlier, "max", earlier.group)
        goes_on = pc.fill_null(pc.greater(begins, ended), True)
        earlier = _taken(earlier, np.flatnonzero(np.asarray(goes_on)))
    target = None if own.target is None or earlier.target is None else np.append(earlier.target, own.target)
    return Sequences(
        np.concatenate([earlier.values, own.values]), target, pa.concat_arrays([earlier.group, own.group]),
        pa.concat_arrays([earlier.part, own.part]),
        np.append(earlier.time, own.time), np.append(np.full(len(earlier.row), -1), own.row),
        np.append(earlier.place, own.place),
    )  # fmt: skip


def _outermost(rows: Sequences, which: Literal["min", "max"], wanted: pa.Array) -> pa.ChunkedArray:
    """The first or last time of each wanted group among the rows, null where they have none of it."""
    found = pa.table({"group": rows.group, "time": rows.time}).group_by("group").aggregate([("time", which)])
    return pc.take(found[f"time_{which}"], pc.index_in(wanted, value_set=found["group"].combine_chunks()))


def _tail(rows: Sequences, length: int) -> Sequences:
    """The last rows of every group, as many as a window needs besides its end."""
    codes = rows.group.dictionary_encode().indices.to_numpy()
    behind = np.arange(len(codes))
    ends = np.flatnonzero(np.diff(codes, append=-1) != 0)
    last = ends[np.searchsorted(ends, behind)] if len(ends) else behind
    return _taken(rows, np.flatnonzero(last - behind < length))
