"""A run on several workers: who does what, what is done again, and when to give up."""

import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Protocol

from models.errors import UnreachableError
from tasks.scoring.joined import several_at_once
from tasks.scoring.ledger import Entry
from tasks.scoring.run import ENOUGH, OnRows, require_few_rejects
from tasks.scoring.shards import Shard, Span
from tasks.scoring.sinks import Takes
from tasks.scoring.store import WAITS
from tasks.scoring.work import Done, Work


class Crew(Protocol):
    """Workers, each of which does one span at a time."""

    @property
    def room(self) -> int:
        """Spans that may be under way, so that no worker has to wait for the next."""

    def start(self, work: Work) -> None:
        """Tells all workers what they work on."""

    def begin(self, span: Span) -> None:
        """Hands a span to the next worker that is free."""

    def ended(self) -> list[tuple[Span, Done | UnreachableError]]:
        """Spans that have ended; after some seconds none. Raises the other errors of workers."""


class Spread:
    """Hands out what is missing, and keeps the account of it."""

    def __init__(self, work: Work, output: Takes, done: dict[str, Entry], max_rejects: float) -> None:
        """`done` grows shard by shard; `output` is what the workers write to."""
        self.done = done
        self.seconds: Counter[str] = Counter()
        self._work, self._output, self._max_rejects = work, output, max_rejects
        self._under_way: set[Span] = set()
        self._begun: set[Span] = set()
        self._again: deque[Span] = deque()
        self._missing = self._left()

    def go(self, crew: Crew, on_rows: OnRows) -> None:
        """Returns when all is done. A span whose worker has failed is begun again, for what it has not done.

        Raises UnreachableError when that has helped to no further shard for about a minute, InputError for too many
        rejects, and what a worker raises for people to read.
        """
        crew.start(self._work)
        held, waits = -1, iter(WAITS)
        while True:
            failures = self._fill(crew)
            if not (self._under_way or failures):
                break
            failures += self._collect(crew) if self._under_way else []
            on_rows(sum(entry.rows for entry in self.done.values()))
            require_few_rejects(self.done, self._max_rejects, ENOUGH)
            if failures:
                if len(self.done) > held:
                    held, waits = len(self.done), iter(WAITS)
                wait = next(waits, None)
                if wait is None:
                    raise failures[0]
                time.sleep(wait)
        require_few_rejects(self.done, self._max_rejects, 1)

    def _fill(self, crew: Crew) -> list[UnreachableError]:
        """Begins spans as long as there is room; the error where sources can't be looked at."""
        room = crew.room if several_at_once(self._work.wanted) else 1
        try:
            for span in islice(self._next(), max(room - len(self._under_way), 0)):
                crew.begin(span)
                self._under_way.add(span)
        except UnreachableError as error:
            self._missing = self._left()
            return [error]
        return []

    def _next(self) -> Iterator[Span]:
        """Spans to begin, those that have failed first."""
        while self._again:
            yield self._again.popleft()
        for span in self._missing:
            self._begun.add(span)
            yield span

    def _left(self) -> Iterator[Span]:
        """Spans that were never begun."""
        done = {Shard.of(name): entry.end for name, entry in self.done.items()}
        return (span for span in self._work.reading.spans(done) if span not in self._begun)

    def _collect(self, crew: Crew) -> list[UnreachableError]:
        """Enters what was done; the errors of what was not."""
        failures = []
        ended = crew.ended()
        for span, result in ended:
            self._under_way.remove(span)
            if isinstance(result, Done):
                self.done.update(result.entries)
                self.seconds.update(result.seconds)
            else:
                failures.append(result)
                self._again.append(span)
                self._look(span)
        for span in self._under_way if not ended else ():
            if span.number is None:
                # They are done in their order.
                self._look(span, max((name for name in self.done if span.covers(Shard.of(name))), default=""))
        return failures

    def _look(self, span: Span, after: str = "") -> None:
        """Enters what the workers have done of a span so far."""
        with suppress(UnreachableError):
            self.done.update(self._output.done(span, after))
