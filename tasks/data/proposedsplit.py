"""The [split] section of a first model file: which rule fits the data, and why."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from models.sections import Promotion, Split
from tasks.data.observe import TIME_NAME, Observed
from tasks.data.sample import Sample
from tasks.data.sequences import Rhythm

TEST_ROWS = 1.3 * Promotion().min_rows
"""A hash deals rows out by chance, so somewhat more than a judgement needs."""
LARGEST_TEST = 0.4
SORTED = 0.99
"""Share of rows no older than the one before, from which on a file is believed to be written in the order of time."""
FEWEST_GROUPS = 10
"""Series below which a hash of their names would leave a split without any."""


@dataclass(frozen=True)
class Together:
    """What is known about rows that belong together."""

    tracks: str | None = None
    """Column of the track whose frames the rows are."""
    rhythm: Rhythm | None = None


@dataclass(frozen=True)
class ProposedSplit:
    """The keys of [split], and the sentence that explains them."""

    keys: Mapping[str, str | float]
    reason: str


def propose_split(
    features: Mapping[str, Observed], sample: Sample, together: Together, declared: Collection[str | None]
) -> ProposedSplit:
    """The rule that keeps together what belongs together; `declared` are the splits that the sources say."""
    keys = _keys(features, sample)
    key = {"key": keys[0]} if keys else {}
    groups = _groups(features, together)
    if any(declared):
        group = {"group": groups[0]} if groups and not _all_declared(declared) else {}
        rest = f"; of the others, rows of one {groups[0]!r} stay together" if group else ""
        return ProposedSplit({**group, **key}, f"the sources say which split their rows belong to{rest}")
    rule, reason = _rule(features, sample, together, groups, keys)
    return ProposedSplit({**rule, **key, **_test_share(_judged(len(sample.table), together.rhythm))}, reason)


def _rule(
    features: Mapping[str, Observed], sample: Sample, together: Together, groups: list[str], keys: list[str]
) -> tuple[dict[str, str], str]:
    time = _time(features, sample, together.rhythm)
    if time is not None:
        return {"time": time}, f"rows are in the order of {time!r}: the newest are kept for the test"
    if groups:
        return {"group": groups[0]}, f"rows of one {groups[0]!r} stay together"
    what = f"{keys[0]!r}" if keys else "all features"
    return {}, f"by the hash of {what}, so that a row never changes sides"


def _all_declared(declared: Collection[str | None]) -> bool:
    return None not in declared


def _keys(features: Mapping[str, Observed], sample: Sample) -> list[str]:
    """Columns with a value of their own in each row; the names of files after others."""
    rows = len(sample.table)
    found = [name for name, found in features.items() if found.key and found.distinct == rows]
    named = [name for name in found if not re.match(r"(unnamed|index|row)", name, re.IGNORECASE)]
    return sorted(named, key=lambda name: features[name].has_files)


def _groups(features: Mapping[str, Observed], together: Together) -> list[str]:
    if together.rhythm:
        return [together.rhythm.group]
    return [together.tracks] if together.tracks else [name for name, found in features.items() if found.group]


def _time(features: Mapping[str, Observed], sample: Sample, rhythm: Rhythm | None) -> str | None:
    """The column by whose time rows are split, where they are in its order or there are too few series for a hash."""
    if rhythm is None:
        return next((name for name, found in features.items() if _in_order(found, sample)), None)
    found = features[rhythm.time]
    dated = found.settings.kind == "datetime"
    return rhythm.time if dated and (rhythm.groups < FEWEST_GROUPS or _in_order(found, sample)) else None


def _judged(rows: int, rhythm: Rhythm | None) -> int:
    """Rows that get a prediction: of series, those that end a window."""
    return rows if rhythm is None else max(1, rows - rhythm.groups * (rhythm.window - 1))


def _test_share(rows: int) -> dict[str, float]:
    """A larger share than usual where the test rows would else be too few for a judgement."""
    wanted = TEST_ROWS / rows
    if wanted <= Split().test:
        return {}
    return {"test": min(LARGEST_TEST, math.ceil(wanted * 20) / 20)}


def _in_order(found: Observed, sample: Sample) -> bool:
    """Whether the column holds instants in which the rows were written."""
    if found.settings.kind != "datetime" or found.missing or found.distinct < 10:
        return False
    stamps = found.values.cast(pa.int64()).to_numpy(zero_copy_only=False)
    same_file = np.diff(sample.file) == 0
    ordered = (np.diff(stamps) >= 0)[same_file]
    return bool(TIME_NAME.search(found.name)) and bool(len(ordered)) and float(ordered.mean()) >= SORTED
