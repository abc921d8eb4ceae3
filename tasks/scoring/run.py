"""One pass over the shards that are missing: read ahead, scored, written behind, each entered in the ledger."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from models.errors import InputError, PerennialError
from tasks.actions.outboxes import Outboxes, ShardOutbox
from tasks.scoring.batch import BatchScorer, Finished, Tally
from tasks.scoring.destination import PREDICTIONS, REJECTS
from tasks.scoring.ledger import Entry
from tasks.scoring.overlap import read_ahead, write_behind
from tasks.scoring.reading import Ended, Piece, Reading
from tasks.scoring.shards import Shard
from tasks.scoring.sinks import Part, Takes

ENOUGH = 1000
"""Rows from which on a share of rejects tells something before the end."""
OnRows: TypeAlias = Callable[[int], None]
"""Is told the rows done."""


class Run:
    """Holds the shard in flight."""

    def __init__(
        self,
        scorer: BatchScorer,
        sink: Takes,
        done: dict[str, Entry],
        max_rejects: float = 1.0,
        outboxes: Outboxes | None = None,
    ) -> None:
        """`done` grows shard by shard; `outboxes` take the rows of actions."""
        self.done = done
        self.seconds = dict.fromkeys(("reading", "scoring", "writing"), 0.0)
        self._scorer, self._sink, self._max_rejects = scorer, sink, max_rejects
        self._tally = Tally()
        self._outboxes = outboxes
        self._part: Part | None = None
        self._outbox: ShardOutbox | None = None
        self._written: Counter[str] = Counter()
        self._taken: Counter[str] = Counter()

    def go(self, reading: Reading, on_rows: OnRows) -> None:
        """Scores what is missing; a shard is in the ledger before the next one is scored.

        Raises PerennialError when a shard's counts do not add up, InputError for too many rejects.
        """
        if self._scorer.watch:
            # What an attempt has counted of a shard that it did not end is counted again.
            self._scorer.watch.taken()
        before = sum(entry.rows for entry in self.done.values())
        done = {Shard.of(name): entry.end for name, entry in self.done.items()}
        try:
            with write_behind(self._write) as writer:
                for step in read_ahead(reading.steps(done)):
                    if isinstance(step, Piece):
                        writer.put(self._score(step))
                        on_rows(before + self._tally.read)
                    else:
                        before += self._tally.read
                        writer.put(self._ended(step))
                        writer.flush()
                        require_few_rejects(self.done, self._max_rejects, ENOUGH)
            require_few_rejects(self.done, self._max_rejects, 1)
        finally:
            if self._part is not None:
                self._part.discard()
            if self._outbox is not None:
                self._outbox.discard()

    def _score(self, piece: Piece) -> tuple[Shard, Finished]:
        started = time.perf_counter()
        finished = self._scorer.score(piece.batch, self._tally)
        self.seconds["reading"] += piece.seconds
        self.seconds["scoring"] += time.perf_counter() - started
        return piece.shard, finished

    def _ended(self, step: Ended) -> Entry:
        tally, self._tally = self._tally, Tally()
        _require_all(step, tally)
        return Entry(
            shard=step.shard.name,
            source=step.source,
            first=step.first,
            last=tally.last,
            rows=tally.read,
            scored=tally.scored,
            rejected=tally.rejected,
            passed=tally.passed,
            reasons=dict(tally.reasons),
            labels=dict(tally.labels),
            sums=dict(tally.sums),
            end=step.end,
            watched=self._scorer.watch.taken() if self._scorer.watch else None,
        )

    def _write(self, item: tuple[Shard, Finished] | Entry) -> None:
        """In the writer's thread: rows of a shard, or its end."""
        started = time.perf_counter()
        if isinstance(item, Entry):
            self._commit(item)
        else:
            shard, finished = item
            self._part = self._part or self._sink.part(shard)
            self._written[PREDICTIONS] += self._part.write(PREDICTIONS, finished.predictions)
            self._written[REJECTS] += self._part.write(REJECTS, finished.rejects)
            if self._outboxes:
                self._outbox = self._outbox or self._outboxes.shard(shard.name)
                self._outbox.write(finished.taken)
                self._taken.update({action: len(table) for action, table in finished.taken.items()})
        self.seconds["writing"] += time.perf_counter() - started

    def _commit(self, entry: Entry) -> None:
        _require_written(entry, self._written)
        if self._outbox is not None:
            # Before the ledger: what is done again is replaced, what is not in the outbox would never be delivered.
            self._outbox.commit()
            self._outbox = None
        self._part = self._part or self._sink.part(Shard.of(entry.shard))
        self.done[entry.shard] = self._part.commit(replace(entry, taken=dict(self._taken)))
        self._part = None
        self._written.clear()
        self._taken.clear()


def require_few_rejects(done: Mapping[str, Entry], most: float, enough: int) -> None:
    """Passes when at most that share of at least `enough` rows is rejected. Raises InputError otherwise."""
    rows, rejected = (sum(getattr(entry, name) for entry in done.values()) for name in ("rows", "rejected"))
    if rows >= enough and rejected > most * rows:
        raise InputError(
            f"{rejected:,} of {rows:,} rows were rejected, more than the limit of {most:.1%}; mend the data, or raise "
            "--max-rejects"
        )


def _require_all(step: Ended, tally: Tally) -> None:
    """Passes when every row of the shard was read and counted. Raises PerennialError otherwise."""
    last = tally.last if step.last is None else step.last
    due = last - step.first + 1 if last else 1
    if tally.read != due:
        raise PerennialError(f"{step.source}: {tally.read} of {due} rows up to row {last} were read; it was not scored")
    if tally.read != tally.scored + tally.rejected + tally.passed:
        ends = f"{tally.scored} scored and {tally.rejected} rejected"
        raise PerennialError(f"{step.source}: {tally.read} rows were read, but {ends}; it was not scored")


def _require_written(entry: Entry, written: Mapping[str, int]) -> None:
    ends = {"scored": (entry.scored, written[PREDICTIONS]), "rejected": (entry.rejected, written[REJECTS])}
    problems = [f"{due} rows were {end}, but {put} written" for end, (due, put) in ends.items() if due != put]
    if problems:
        raise PerennialError(f"{entry.source}: {'; '.join(problems)}; it was not scored")
