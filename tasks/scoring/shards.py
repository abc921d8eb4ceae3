"""Shards: neighbouring rows of one source, the unit in which a run is done, lost and done again."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.data.batches import RawBatch

SHARD_ROWS = 1 << 20
"""Rows of a shard, where rows are small."""
WHOLE = 1 << 62
"""Rows of a shard that is a whole source."""
MOST = 999_999
"""More than the sources of a run, or the shards of a source."""
SHARD_BYTES, FEWEST = 1 << 30, 1024
"""Of values as the graph takes them, and the rows of a shard however large they are."""


@dataclass(frozen=True, order=True)
class Shard:
    """By the positions of its source among the sources, and of its rows in it; both from 0."""

    source: int
    number: int

    @classmethod
    def of(cls, name: str) -> "Shard":
        """The shard of a name."""
        return cls(*map(int, name.split("-")))

    @property
    def name(self) -> str:
        """Sorts as the shards do."""
        return f"{self.source:06d}-{self.number:06d}"


@dataclass(frozen=True)
class Span:
    """Shards that one worker does: all, those of neighbouring sources, or a single one."""

    source: int | None = None
    number: int | None = None
    last: int | None = None
    """The last one of several sources."""

    def reaches(self, source: int) -> bool:
        """Whether shards of the source are among them."""
        return self.source is None or self.source <= source <= self._last

    def covers(self, shard: Shard) -> bool:
        """Whether the shard is one of them."""
        return self.reaches(shard.source) and self.number in (None, shard.number)

    @property
    def names(self) -> tuple[str, str]:
        """The names of all its shards lie between these, or are these."""
        first, last = (0, MOST) if self.number is None else (self.number, self.number)
        return Shard(self.source or 0, first).name, Shard(self._last, last).name

    @property
    def _last(self) -> int:
        if self.source is None:
            return MOST
        return self.source if self.last is None else self.last

    def __str__(self) -> str:
        if self.source is None:
            return "all shards"
        if self.number is not None:
            return Shard(self.source, self.number).name
        several = f" to {self.last:06d}" if self.last not in (None, self.source) else ""
        return f"source {self.source:06d}{several}"


EVERYTHING = Span()


def rows_of_shards(row_bytes: int) -> int:
    """Rows of a shard by the bytes of a row in columns whose values are large, such as pictures."""
    return min(SHARD_ROWS, max(FEWEST, SHARD_BYTES // max(row_bytes, 1)))


class Cuts:
    """Where a source is cut: after the rows of `stops`, or every `rows` rows where the source is not known so well."""

    def __init__(self, rows: int, stops: Sequence[int] | None) -> None:
        self.rows = rows
        self._stops = None if stops is None else np.asarray(stops, dtype=np.int64)

    @property
    def known(self) -> bool:
        """Whether it is known before reading where the shards end."""
        return self._stops is not None

    def first_of(self, number: int) -> int:
        """Number of the first row of a shard."""
        if self._stops is None:
            return number * self.rows + 1
        return int(self._stops[number - 1]) + 1 if number else 1

    def last_of(self, number: int) -> int | None:
        """Number of the last row of a shard, where it is known."""
        return None if self._stops is None else int(self._stops[number])

    def is_last(self, number: int) -> bool:
        """Whether no shard follows, as far as is known before reading."""
        return self._stops is None or number == len(self._stops) - 1

    def following(self, number: int, stop: int | None) -> int | None:
        """The next shard before `stop` that can be read when this one is damaged."""
        return number + 1 if self._stops is not None and stop is not None and number + 1 < stop else None

    def missing(self, done: Collection[int]) -> Iterator[tuple[int, int | None]]:
        """Runs of neighbouring shards that are not done, by their first and the one behind their last."""
        if self._stops is None:
            yield len(done), None
            return
        left = np.setdiff1d(np.arange(len(self._stops)), list(done))
        for run in np.split(left, np.flatnonzero(np.diff(left) > 1) + 1):
            if len(run):
                yield int(run[0]), int(run[-1]) + 1

    def shards_of(self, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Positions [N] of the shards of row numbers [N]."""
        if self._stops is None:
            return (rows - 1) // self.rows
        return np.minimum(np.searchsorted(self._stops, rows), len(self._stops) - 1)

    def cut(self, batches: Iterator[RawBatch]) -> Iterator[tuple[int, RawBatch]]:
        """The batches, none of which holds rows of two shards, with the positions of their shards."""
        for batch in batches:
            good = self.shards_of(batch.rows)
            bad = self.shards_of(np.array([row.row for row in batch.malformed], dtype=np.int64))
            shards = np.unique(np.append(good, bad))
            for shard in shards:
                start, stop = np.searchsorted(good, [shard, shard + 1])
                malformed = tuple(batch.malformed[i] for i in np.flatnonzero(bad == shard))
                yield int(shard), batch if len(shards) == 1 else batch.part(int(start), int(stop), malformed)
