"""Which rows train, validate and test: a rule that never moves a row when data grows."""

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.columns.kind import Mask
from models.contract import SplitSpec
from models.errors import InputError
from models.modelfile import ModelFile
from models.sections import SPLITS, SplitName
from tasks.data.hashing import hash_rows, unit_interval
from tasks.data.layout import SOURCE, WINDOW_SPAN, display_name, stored_split_name
from tasks.data.manifest import Snapshot
from tasks.data.parsing import parsing_digests

TRAIN, VALIDATION, TEST, ASTRIDE = range(4)
"""A window that holds rows of two splits is in none."""
Assignment = NDArray[np.int8]
UNDECLARED = -1


def fit_split(model_file: ModelFile, snapshot: Snapshot) -> SplitSpec:
    """The rule by which the rows of the snapshot, and any later row, are assigned.

    Raises InputError when train, validation or test would be empty, saying which and what to do. None need validate a
    model that was made elsewhere: nothing is stopped or calibrated by them.
    """
    split = model_file.split
    sources = {source.uri: source.split for source in model_file.sources if source.split}
    shares: dict[str, Any] = {"validation": split.validation, "test": split.test, "sources": sources}
    shares["parsing"] = parsing_digests(model_file)
    if split.time:
        spec = _time_spec(snapshot, stored_split_name(split.time), shares)
        if model_file.series:
            spec = spec.model_copy(update={"columns": (*spec.columns, WINDOW_SPAN)})
    elif split.column:
        spec = SplitSpec(rule="column", columns=(stored_split_name(split.column),), **shares)
    else:
        named = (split.group,) if split.group else split.key
        columns = tuple(stored_split_name(name) for name in named) or tuple(sorted(model_file.columns))
        spec = SplitSpec(rule="hash", columns=columns, **shares)
    needed: tuple[SplitName, ...] = ("train", "test") if model_file.graph else SPLITS
    _require_all(count_splits(snapshot.batches(required_columns(spec)), spec)[: len(SPLITS)], spec, needed)
    return spec


def count_splits(batches: Iterable[pa.Table], spec: SplitSpec) -> NDArray[np.int64]:
    """Rows of train, validation and test, and windows astride of two of them, in that order, [4]."""
    counts = np.zeros(len(SPLITS) + 1, dtype=np.int64)
    for rows in batches:
        counts += np.bincount(assign(rows, spec), minlength=len(counts))
    return counts


def required_columns(spec: SplitSpec) -> tuple[str, ...]:
    """The stored columns that `assign` reads."""
    return (*spec.columns, SOURCE) if spec.sources else spec.columns


def assign(table: pa.Table, spec: SplitSpec) -> Assignment:
    """The split of each row: 0 train, 1 validation, 2 test, 3 none; int8 [N]. Needs `required_columns(spec)`."""
    declared = _declared(table, spec)
    undeclared = declared == UNDECLARED
    if not undeclared.any():
        return declared
    rule = {"hash": _by_hash, "time": _by_time, "column": _by_column}[spec.rule]
    return np.where(undeclared, rule(table, spec), declared).astype(np.int8)


def judged_rows(table: pa.Table, challenger: SplitSpec, champion: SplitSpec | None, sources: Collection[str]) -> Mask:
    """Mask of the rows that neither model trained or validated on: test rows of both; [N].

    Rows of a source that declares nothing to the champion count only if all sources it learnt from are among `sources`,
    those of the data as a whole: otherwise they may be the same rows under another name. Raises InputError when it
    can't be told, for the reason that `why_not_comparable` gives.
    """
    unseen = assign(table, challenger) == TEST
    if champion is None:
        return np.asarray(unseen)
    obstacle = why_not_comparable(table.column_names, challenger, champion)
    if obstacle:
        raise InputError(obstacle)
    unseen &= assign(table, champion) == TEST
    learnt = {uri for uri, split in champion.sources.items() if split != "test"}
    if not learnt <= set(sources):
        unseen &= _declared(table, champion) == TEST
    return np.asarray(unseen)


def why_not_comparable(columns: Collection[str], challenger: SplitSpec, champion: SplitSpec | None) -> str | None:
    """Why it can't be told which rows the champion learnt from; None when it can.

    `columns` are those of the challenger's data. The champion's rule needs all its columns, read as they were then.
    """
    if champion is None:
        return None
    advice = "a [split] key keeps versions comparable when features change"
    absent = [name for name in required_columns(champion) if name not in columns]
    if absent:
        what = f"the data no longer has {_listed(absent)}, which decided what the champion was trained on"
        return f"{what}; {advice}"
    moved = [name for name in champion.columns if challenger.parsing.get(name) != champion.parsing.get(name)]
    if moved:
        what = f"{_listed(moved)}, which decided what the champion was trained on, {_be(moved)} read otherwise since"
        return f"{what}; {advice}"
    return None


def _be(names: Collection[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _listed(names: Collection[str]) -> str:
    """The columns by the names the user gave them, the first three in full."""
    shown = ", ".join(repr(display_name(name)) for name in list(names)[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"column{'s' if len(names) > 1 else ''} {shown}{more}"


def effective_shares(spec: SplitSpec) -> tuple[float, float]:
    """Shares of validation and test among rows whose source declares no split.

    Splits that whole sources declare get nothing of the other rows; the shares of the rest are scaled to 1.
    """
    given = {"train": 1 - spec.validation - spec.test, "validation": spec.validation, "test": spec.test}
    taken: Collection[SplitName] = set(spec.sources.values())
    left = {name: share for name, share in given.items() if name not in taken}
    total = sum(left.values())
    if not left:
        return 0.0, 0.0
    return left.get("validation", 0.0) / total, left.get("test", 0.0) / total


def _by_hash(table: pa.Table, spec: SplitSpec) -> Assignment:
    place = unit_interval(hash_rows(table, spec.columns))
    validation, test = effective_shares(spec)
    return _cut(place < test, place < test + validation)


def _by_time(table: pa.Table, spec: SplitSpec) -> Assignment:
    seconds = _seconds(table[spec.columns[0]])
    test = np.inf if spec.test_from is None else spec.test_from
    validation = test if spec.validation_from is None else spec.validation_from
    ends = _cut(seconds >= test, seconds >= validation)
    if len(spec.columns) == 1:
        return ends
    begins = seconds - table[spec.columns[1]].to_numpy()
    return np.where(_cut(begins >= test, begins >= validation) == ends, ends, np.int8(ASTRIDE))


def _by_column(table: pa.Table, spec: SplitSpec) -> Assignment:
    codes = pc.index_in(table[spec.columns[0]].cast(pa.string()), value_set=pa.array(SPLITS))
    return np.asarray(codes.to_numpy()).astype(np.int8)


def _cut(test: NDArray[np.bool_], validation_or_test: NDArray[np.bool_]) -> Assignment:
    return np.where(test, TEST, np.where(validation_or_test, VALIDATION, TRAIN)).astype(np.int8)


def _declared(table: pa.Table, spec: SplitSpec) -> Assignment:
    """The split that each row's source declares, or `UNDECLARED`."""
    if not spec.sources:
        return np.full(len(table), UNDECLARED, dtype=np.int8)
    uris = pa.array(list(spec.sources))
    codes = np.array([SPLITS.index(split) for split in spec.sources.values()] + [UNDECLARED], dtype=np.int8)
    found = pc.fill_null(pc.index_in(table[SOURCE].cast(pa.string()), value_set=uris), len(uris))
    return np.asarray(codes[found.to_numpy()])


def _seconds(stamps: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(stamps.cast(pa.int64()).to_numpy().astype(np.float64) / 1e6)


def _time_spec(snapshot: Snapshot, column: str, shares: dict[str, Any]) -> SplitSpec:
    """Cut-offs such that about the wanted share of the undeclared rows is newer; rows of one instant stay together."""
    spec = SplitSpec.model_validate({"rule": "time", "columns": (column,), **shares})
    table = snapshot.table(required_columns(spec))
    stamps = np.sort(_seconds(table[column])[_declared(table, spec) == UNDECLARED])
    validation, test = effective_shares(spec)
    if not len(stamps):
        return spec
    test_from = _cut_off(stamps, test)
    older = stamps if test_from is None else stamps[stamps < test_from]
    validation_from = _cut_off(older, min(validation / (1 - test), 1.0) if test < 1 else 0.0)
    return spec.model_copy(update={"test_from": test_from, "validation_from": validation_from})


def _cut_off(stamps: NDArray[np.float64], share: float) -> float | None:
    """The stamp from which on about `share` of the sorted stamps lie; never the oldest unless all are wanted."""
    if not share or not len(stamps):
        return None
    if share >= 1:
        return float(stamps[0])
    instants, first = np.unique(stamps, return_index=True)
    newer = 1 - first[1:] / len(stamps)
    return float(instants[1:][np.abs(newer - share).argmin()]) if len(instants) > 1 else None


def _require_all(counts: NDArray[np.int64], spec: SplitSpec, needed: Collection[SplitName]) -> None:
    empty = [name for name, count in zip(SPLITS, counts, strict=True) if name in needed and not count]
    if not empty:
        return
    columns = ", ".join(display_name(name) for name in spec.columns)
    advice = {
        "hash": "give more rows, or a larger share in [split]",
        "time": f"{columns!r} has too few instants; give more rows, or split by key",
        "column": f"{columns!r} must hold train, validation and test",
    }[spec.rule]
    if spec.sources:
        advice = "let fewer sources declare a split, or add one for it"
    raise InputError(f"split: no row is left for {' and '.join(empty)} ({counts.sum()} rows in all); {advice}")
