"""Rows that are counted while they are scored: all of a small run, a fixed share of a large one."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.contract import Contract
from models.profile import Bins, ColumnProfile, Facet, Names, Profile, Rate
from tasks.monitoring.counting import Counting
from tasks.monitoring.outcomes import Outcomes
from tasks.monitoring.vocabulary import Vocabulary
from tasks.scoring.batch import Accepted

MOST_ROWS = 20_000
"""Of a run, about; as many tell of every change that matters, and all would take as long as scoring them."""
NONE = Rate(count=0, rows=0)


def share_of(rows: int | None) -> float:
    """The share of so many rows that is counted; all where nobody knows how many there are."""
    return min(1.0, MOST_ROWS / rows) if rows else 1.0


class Watching:
    """Counts rows shard by shard, in the cells of a version's profile."""

    def __init__(
        self,
        contract: Contract,
        frame: Profile,
        known: Mapping[str, Vocabulary],
        share: float = 1.0,
        outcomes: Outcomes | None = None,
    ) -> None:
        """`share` is that of the rows that are counted, chosen by source and number: the same whenever they are read.

        `outcomes` takes all rows with their predictions.
        """
        self.contract, self.frame, self.known, self.share = contract, frame, known, share
        self.outcomes = outcomes
        self._counting = self._begun()

    def add(self, accepted: Accepted) -> None:
        """Counts the chosen ones of these rows."""
        if self.outcomes:
            self.outcomes.add(accepted.raw, accepted.predictions)
        columns, predictions = accepted.columns, accepted.predictions
        if self.share < 1:
            chosen = np.flatnonzero(_scattered(accepted.source, accepted.rows) < self.share)
            index = pa.array(chosen)
            columns, predictions = {n: values.take(index) for n, values in columns.items()}, predictions.take(chosen)
        self._counting.add(columns, predictions)

    def taken(self) -> Mapping[str, Any]:
        """The profile of what was counted since this was asked last, as JSON."""
        found, self._counting = self._counting.profile(NONE), self._begun()
        return found.model_dump(mode="json")

    def _begun(self) -> Counting:
        return Counting(self.contract, self.frame, self.known)


def _scattered(source: str, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """A number from 0 to 1 for each row of a source, [N], as good as chance (SplitMix64 of Steele, Lea and Flood 2014).

    Each source begins elsewhere: of many small ones other rows are chosen, and not the same few of each.
    """
    begin = np.frombuffer(hashlib.sha256(source.encode()).digest()[:8], np.uint64)
    mixed = begin + rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((mixed ^ (mixed >> np.uint64(31))).astype(np.float64) / 2.0**64)


def joined(frame: Profile, parts: Iterable[Mapping[str, Any]], rejected: Rate) -> Profile:
    """The profile of several shards together, each as `Watching.taken` gave it; their order makes no difference."""
    profiles = [Profile.model_validate(part) for part in parts]
    columns = {name: _column(each, [p.columns[name] for p in profiles]) for name, each in frame.columns.items()}
    predictions = _column(frame.predictions, [p.predictions for p in profiles])
    rows = sum(p.rows for p in profiles)
    changed = {"rows": rows, "rejected": rejected, "columns": columns, "predictions": predictions}
    return frame.model_copy(update=changed)


def _column(frame: ColumnProfile, parts: list[ColumnProfile]) -> ColumnProfile:
    facets = {name: _facet(each, [part.facets[name] for part in parts]) for name, each in frame.facets.items()}
    return frame.model_copy(update={"facets": facets})


def _facet(frame: Facet, parts: list[Facet]) -> Facet:
    """Of parts that have the form of the frame."""
    if isinstance(frame, Rate):
        rates = [part for part in parts if isinstance(part, Rate)]
        return Rate(count=sum(each.count for each in rates), rows=sum(each.rows for each in rates))
    if isinstance(frame, Names):
        names = [part for part in parts if isinstance(part, Names)]
        counts = _added(len(frame.counts), [each.counts for each in names])
        return frame.model_copy(update={"counts": counts, "rest": sum(each.rest for each in names)})
    return _bins(frame, [part for part in parts if isinstance(part, Bins)])


def _bins(frame: Bins, parts: list[Bins]) -> Bins:
    counts = _added(len(frame.counts), [each.counts for each in parts])
    # Where nothing was counted, ends and mean are those of the frame.
    known = [(each, sum(each.counts)) for each in parts if any(each.counts)]
    total = sum(count for _, count in known)
    told = {
        "low": min((each.low for each, _ in known if each.low is not None), default=None),
        "high": max((each.high for each, _ in known if each.high is not None), default=None),
        "mean": math.fsum((each.mean or 0.0) * count for each, count in known) / total if total else None,
    }
    return frame.model_copy(update={"counts": counts, **told})


def _added(cells: int, counts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*counts, strict=True))) if counts else (0,) * cells
