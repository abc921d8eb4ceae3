"""Whether the rows of a table are series: those of one machine, engine or sensor follow each other at regular times."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from models.columns import KINDS
from models.columns.cells import as_array
from models.sections import Series
from tasks.data.observe import TIME_NAME, Observed
from tasks.data.sample import Sample

FEWEST, FEWEST_OF_CASE = 30, 5
"""Rows of a group, at the median, with which it is a series; where a group is a case of one class, fewer will do."""
LONGEST_CASE = 512
"""Rows up to which a window spans a case as a whole."""
REGULAR = 0.8
"""Share of the steps of time that are about as long as the usual one."""
ADVANCING = 0.99
"""Share of the steps in which time goes on: a few rows are sent twice, or stamped alike when a clock is set back."""
GAP = 3.0
"""Usual steps from which on a step is a gap."""
OFTEN = 0.5
"""Share of the rows after which another group's follows, from which on groups alternate in one log."""
FEW_GROUPS, LOOKED_AT = 5, 4_000
"""Groups and rows on which a time is tried first."""
CLOCK_NAME = re.compile(rf"{TIME_NAME.pattern}|^(t|s|sec|seconds?|ms)$", re.IGNORECASE)
"""Of columns that may count time in fractions."""
SHORTEST_GROUPS = 5
"""Percentile of the groups' lengths that a window must not exceed."""

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Rhythm:
    """By which columns rows become series, and how long windows can be."""

    group: str
    time: str
    groups: int
    window: int
    shortest: int
    """Rows of all but the shortest groups; of cases, of all where none is much shorter than the others."""
    step: float
    """Usual time from row to row: seconds between dates, else in the column's own unit."""
    gaps: int
    """Steps that are much longer."""
    cases: bool
    """Whether all rows of a group have one class."""
    repeated: int = 0
    """Rows that repeat a time of their group."""
    time_format: str | None = None
    """How dates are read that are not ISO's."""


def find_rhythm(seen: Mapping[str, Observed], truth: pa.Array) -> Rhythm | None:
    """How rows become series, None where they are none; `truth` are the parsed targets.

    Each group has many rows, hardly any two of them at one time, with one usual step between them. A table whose rows
    are all counted, or are one log, has no groups: what repeats there is something that was seen.
    """
    classes = pd.factorize(truth.to_pandas())[0]
    times = dict(sorted(_times(seen), key=lambda item: _rank(seen[item[0]])))
    for group, codes in _groups(seen):
        few = _rows_of_few_groups(codes)
        for time, stamps in times.items():
            possible = group != time and seen[time].distinct >= REGULAR * np.bincount(codes).max()
            possible = possible and _is_regular(_steps(codes[few], stamps[few]))
            rhythm = _rhythm(group, time, codes, stamps, classes) if possible else None
            if rhythm:
                return replace(rhythm, time_format=getattr(seen[time].settings, "format", None))
    return None


def as_channels(features: Mapping[str, Observed], rhythm: Rhythm, sample: Sample) -> dict[str, Observed]:
    """The features, where numbers that change within a group are channels, and what makes the series is left out."""
    codes = next(codes for name, codes in _groups(features) if name == rhythm.group)
    reasons = {rhythm.group: "[series] group", rhythm.time: "[series] time"}
    channels: dict[str, Observed] = {}
    for name, found in features.items():
        if name in reasons:
            found = replace(found, left_out=reasons[name])
        elif not found.left_out and _is_channel(found, codes, sample):
            found = replace(found, settings=KINDS["series"].settings())
        channels[name] = found
    return channels


def _rank(found: Observed) -> tuple[bool, bool]:
    """Dates before counters, and those whose name speaks of time first."""
    return found.settings.kind != "datetime", not TIME_NAME.search(found.name)


def _times(seen: Mapping[str, Observed]) -> Iterator[tuple[str, Floats]]:
    for name, found in seen.items():
        if found.missing or found.distinct < FEWEST_OF_CASE:
            continue
        if found.settings.kind == "datetime":
            yield name, found.values.cast(pa.int64()).to_numpy(zero_copy_only=False) / 1e6
        elif found.settings.kind == "number":
            numbers = found.values.to_numpy(zero_copy_only=False)
            if CLOCK_NAME.search(name) or (numbers % 1 == 0).all():
                yield name, numbers


def _groups(seen: Mapping[str, Observed]) -> Iterator[tuple[str, Numbers]]:
    """Codes of the columns that may name a group: texts and whole numbers without a missing one, that repeat."""
    for name, found in seen.items():
        if found.missing or found.has_files or not 2 <= found.distinct <= len(found.values) / FEWEST_OF_CASE:
            continue
        if pa.types.is_dictionary(found.values.type):
            yield name, found.values.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        elif found.settings.kind == "number":
            yield name, np.unique(found.values.to_numpy(zero_copy_only=False), return_inverse=True)[1].astype(np.int64)


def _rhythm(group: str, time: str, codes: Numbers, stamps: Floats, classes: Numbers) -> Rhythm | None:
    lengths = pd.Series(stamps).groupby(codes).nunique().to_numpy()
    cases = _are_cases(codes, classes)
    if np.median(lengths) < (FEWEST_OF_CASE if cases else FEWEST):
        return None
    steps = _steps(codes, stamps)
    usual, shortest = float(np.median(steps)), int(np.percentile(lengths, SHORTEST_GROUPS))
    if not _is_regular(steps) or np.mean(steps > 0) < ADVANCING or _is_one_log(codes, stamps, usual):
        return None
    if cases and 2 * lengths.min() >= shortest:
        shortest = int(lengths.min())
    whole = cases and shortest <= LONGEST_CASE
    window = max(2, shortest if whole else min(Series().window, shortest))
    gaps, repeated = int((steps > GAP * usual).sum()), int((steps == 0).sum())
    return Rhythm(group, time, len(lengths), window, shortest, usual, gaps, cases, repeated)


def _are_cases(codes: Numbers, classes: Numbers) -> bool:
    """Whether all rows of a group have one class, as the recordings of one gesture do."""
    pairs = len(np.unique(np.stack([codes, classes]), axis=1).T)
    return pairs == len(np.unique(codes)) > len(np.unique(classes))


def _rows_of_few_groups(codes: Numbers) -> Numbers:
    """Rows of the first groups, some thousand: most columns are no time of theirs already."""
    first = codes[:LOOKED_AT]
    return np.flatnonzero(np.isin(codes, np.unique(first)[:FEW_GROUPS]))[:LOOKED_AT]


def _steps(codes: Numbers, stamps: Floats) -> Floats:
    """Steps of time from row to row of each group, in the order of time."""
    order = np.lexsort((stamps, codes))
    return np.asarray(np.diff(stamps[order])[np.diff(codes[order]) == 0])


def _is_regular(steps: Floats) -> bool:
    """Whether time mostly goes on by about the usual step."""
    usual = np.median(steps) if len(steps) else 0
    return bool(usual > 0 and np.mean(np.abs(steps - usual) <= usual / 2) >= REGULAR)


def _is_one_log(codes: Numbers, stamps: Floats, usual: float) -> bool:
    """Whether one regular time runs through all rows, in which groups come and go, or one begins where another ends."""
    order = np.argsort(stamps, kind="stable")
    if not _is_regular(np.diff(stamps[order])):
        return False
    spans = pd.Series(stamps).groupby(codes).agg(["min", "max", "size"]).sort_values("min")
    first, last, rows = (spans[name].to_numpy() for name in ("min", "max", "size"))
    in_turns = np.mean(np.diff(codes[order]) != 0) > OFTEN
    comes_and_goes = np.median((last - first) / rows) > 2 * usual
    pauses = first[1:] - last[:-1]
    follows = np.mean((pauses > 0) & (pauses <= GAP * usual)) > 1 - REGULAR
    return bool(in_turns or comes_and_goes or follows)


def _is_channel(found: Observed, codes: Numbers, sample: Sample) -> bool:
    """Whether it holds numbers, flags of 0 and 1 included, that change within a group."""
    if found.settings.kind not in ("number", "boolean"):
        return False
    parsed = KINDS["number"].parse(as_array(sample.table[found.name]), KINDS["number"].settings(), found.marks)
    if any(refusal.reason == "wrong type" for refusal in parsed.refusals):
        return False
    numbers = parsed.values.to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    same = np.diff(codes[order]) == 0
    return bool((np.abs(np.diff(numbers[order])[same]) > 0).any())
