"""The rows of all sources, shard after shard, without those that are done."""

import time
from collections import defaultdict
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from itertools import chain, groupby, islice, takewhile
from math import ceil
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from models.contract import Contract
from models.errors import InputError
from tasks.data.batches import BATCH_ROWS, Malformed, NoRowsError, RawBatch, SourceFile
from tasks.data.contents import with_contents
from tasks.data.fingerprint import ChangedError, require_unchanged
from tasks.data.query import bound
from tasks.data.sources import Unreadable, read_batches, stops
from tasks.data.windows import windows_of
from tasks.scoring.batch import last_row
from tasks.scoring.shards import EVERYTHING, WHOLE, Cuts, Shard, Span

UNREADABLE = "unreadable"
MOST_SOURCES = 1000
"""Sources that are handed out one by one, or shard by shard: each time costs as much as scoring many rows."""


@dataclass(frozen=True)
class Piece:
    """Some rows of a shard, and the seconds that reading them took."""

    shard: Shard
    batch: RawBatch
    seconds: float


@dataclass(frozen=True)
class Ended:
    """All rows of a shard were read."""

    shard: Shard
    source: str
    first: int
    """Number of its first row."""
    last: int | None
    """Number of its last row, where the source states it."""
    end: bool
    """Whether they were the last of the source."""


Steps: TypeAlias = Iterator[Piece | Ended]


class Reading:
    """Reads the columns that a model takes and those that are kept."""

    def __init__(
        self,
        sources: Sequence[SourceFile | Unreadable],
        fingerprints: Sequence[Mapping[str, Any]],
        contract: Contract,
        kept: Collection[str],
        shard_rows: int,
    ) -> None:
        """`fingerprints` are those of the sources from when the run began."""
        pairs = zip(sources, fingerprints, strict=True)
        self._sources = [bound(source, seen) if isinstance(source, SourceFile) else source for source, seen in pairs]
        self._fingerprints, self._contract = fingerprints, contract
        self._tables = {n: source for n, source in enumerate(self._sources) if isinstance(source, SourceFile)}
        self._columns = {column.name: column.settings for column in contract.columns}
        self._wanted = {*contract.raw_columns, *kept}
        self._windows = windows_of(contract.series, self._columns, contract.missing)
        self._shard_rows = shard_rows
        self._span = EVERYTHING
        self._begun: Steps | None = None

    def first(self) -> RawBatch | None:
        """The first rows, which `steps` gives again without reading them twice; None where there are none."""
        steps = self.steps({})
        looked_at = list(islice(steps, 1))
        self._begun = chain(looked_at, steps)
        return next((step.batch for step in looked_at if isinstance(step, Piece)), None)

    def within(self, span: Span) -> "Reading":
        """A reading of these shards alone, which begins anew."""
        part = copy(self)
        part._span, part._windows, part._begun = span, deepcopy(self._windows), None
        return part

    def spans(self, done: Mapping[Shard, bool]) -> Iterator[Span]:
        """What is missing, in parts that can be read without each other.

        A shard where it is known before reading where the shards end, else what is left of a source, or of some where
        there are very many; of series all, since their windows go on from file to file. Raises the errors of `steps`.
        """
        own = _by_source(done)
        missing = [position for position in range(len(self._sources)) if not _is_whole(own[position])]
        if self._windows:
            yield from [EVERYTHING] if missing else []
            return
        if len(missing) > MOST_SOURCES:
            each = ceil(len(missing) / MOST_SOURCES)
            some = (missing[start : start + each] for start in range(0, len(missing), each))
            yield from (Span(positions[0], None, positions[-1]) for positions in some)
            return
        for position in missing:
            cuts = self._cuts(position) if position in self._tables else None
            if cuts and cuts.known:
                for start, stop in cuts.missing(own[position]):
                    yield from (Span(position, number) for number in range(start, stop or start))
            else:
                yield Span(position)

    def steps(self, done: Mapping[Shard, bool]) -> Steps:
        """Pieces of one shard after the other, each shard with its end.

        `done` are shards to leave out, and whether they end their source. Raises InputError where a source looks other
        than when the run began, OutsideError where it can't be reached.
        """
        begun, self._begun = self._begun, None
        return begun if begun and not done else self._steps(done)

    def _steps(self, done: Mapping[Shard, bool]) -> Steps:
        by_source = _by_source(done)
        for position, source in enumerate(self._sources):
            own = by_source[position]
            if not self._span.reaches(position):
                continue
            if isinstance(source, Unreadable):
                if not own:
                    yield from _rejected(Shard(position, 0), source)
            elif self._windows:
                yield from self._series(position, source, bool(own))
            elif not _is_whole(own):
                yield from self._source(position, own)

    def _series(self, position: int, source: SourceFile, done: bool) -> Steps:
        """A file is one shard; those that are done are read for what the next ones go on from."""
        self._require_unchanged(position)
        steps = self._from(position, Cuts(WHOLE, None), 0, None)
        yield from () if done else steps
        if done:
            for _ in steps:
                pass

    def _source(self, position: int, done: Collection[int]) -> Steps:
        self._require_unchanged(position)
        cuts = self._cuts(position)
        for start, stop in self._missing(cuts, done):
            following: int | None = start
            while following is not None:
                following = yield from self._from(position, cuts, following, stop)

    def _cuts(self, position: int) -> Cuts:
        return Cuts(self._shard_rows, stops(self._tables[position], self._shard_rows))

    def _missing(self, cuts: Cuts, done: Collection[int]) -> Iterable[tuple[int, int | None]]:
        one = self._span.number
        if one is None:
            return cuts.missing(done)
        return [] if one in done else [(one, one + 1)]

    def _from(
        self, position: int, cuts: Cuts, start: int, stop: int | None
    ) -> Generator[Piece | Ended, None, int | None]:
        """The shards from `start` to before `stop`; returns the one to go on with behind a damaged one."""
        shard, row, following = None, cuts.first_of(start) - 1, None
        path = self._sources[position].path
        try:
            for shard_now, pieces in self._shards(position, cuts, start, stop):
                if shard is not None:
                    yield self._ended(position, cuts, shard, False)
                shard = shard_now
                for piece in pieces:
                    row = max(row, last_row(piece.batch))
                    yield piece
        except NoRowsError:
            self._require_unchanged(position)
        except ChangedError:
            raise
        except InputError as error:
            self._require_unchanged(position)
            damaged = int(cuts.shards_of(np.array([row + 1]))[0])
            if shard not in (None, damaged):
                yield self._ended(position, cuts, shard, False)
            shard = damaged
            reason = f"{UNREADABLE}: {str(error).removeprefix(f'{path}: ')}"
            last = cuts.last_of(damaged)
            for batch in _unread(path, row + 1 if row or last else 0, last, reason):
                yield Piece(Shard(position, damaged), batch, 0.0)
            following = cuts.following(damaged, stop)
        if shard is not None:
            yield self._ended(position, cuts, shard, cuts.is_last(shard) if following is None else False)
        return following

    def _shards(self, position: int, cuts: Cuts, start: int, stop: int | None) -> Iterator[tuple[int, Iterator[Piece]]]:
        """Shards with their pieces, in the order of the rows."""
        source = self._tables[position]
        batches = read_batches(source, self._wanted, cuts.first_of(start), cuts.last_of(stop - 1) if stop else None)
        numbered = cuts.cut(self._windows.of(batches) if self._windows else batches)
        wanted = takewhile(lambda cut: stop is None or cut[0] < stop, (cut for cut in numbered if cut[0] >= start))
        for number, group in groupby(wanted, itemgetter(0)):
            contents = with_contents((batch for _, batch in group), source, self._columns, self._contract.missing)
            yield number, _timed(Shard(position, number), contents)

    def _ended(self, position: int, cuts: Cuts, shard: int, end: bool) -> Ended:
        self._require_unchanged(position)
        path = self._sources[position].path
        return Ended(Shard(position, shard), path, cuts.first_of(shard), cuts.last_of(shard), end)

    def _require_unchanged(self, position: int) -> None:
        require_unchanged(self._tables[position], self._fingerprints[position])


def _by_source(done: Mapping[Shard, bool]) -> Mapping[int, dict[int, bool]]:
    """By source the numbers of its shards that are done, and whether they end it."""
    found: defaultdict[int, dict[int, bool]] = defaultdict(dict)
    for shard, end in done.items():
        found[shard.source][shard.number] = end
    return found


def _is_whole(done: Mapping[int, bool]) -> bool:
    """Whether these are all shards of a source; the last one may be done before others."""
    return any(end and len(done) == number + 1 for number, end in done.items())


def _rejected(shard: Shard, source: Unreadable) -> Steps:
    """A file that is no table is one reject of its own."""
    reason = f"{UNREADABLE}: {source.problem.removeprefix(f'{source.path}: ')}"
    for batch in _unread(source.path, 0, 0, reason):
        yield Piece(shard, batch, 0.0)
    yield Ended(shard, source.path, 0, None, True)


def _unread(path: str, first: int, last: int | None, reason: str) -> Iterator[RawBatch]:
    """A reject for each row from `first` to `last`, or a single one where it is not known how many there are."""
    for start in range(first, (first if last is None else last) + 1, BATCH_ROWS):
        rows = range(start, min(start + BATCH_ROWS, (first if last is None else last) + 1))
        bad = tuple(Malformed(row, "", reason) for row in rows)
        yield RawBatch(path, np.array([], dtype=np.int64), pa.table({}), bad)


def _timed(shard: Shard, batches: Iterator[RawBatch]) -> Iterator[Piece]:
    started = time.perf_counter()
    for batch in batches:
        yield Piece(shard, batch, time.perf_counter() - started)
        started = time.perf_counter()
