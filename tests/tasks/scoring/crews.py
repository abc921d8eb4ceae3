"""A crew without Ray, for tests of how a run is handed out."""

import pickle
from collections import deque
from collections.abc import Callable, Mapping

from models.errors import UnreachableError
from tasks.scoring.ledger import Entry
from tasks.scoring.shards import Span
from tasks.scoring.work import Done, Work


class Here:
    """A crew of this process, which does the span that came last first; the work travels as it would to another."""

    def __init__(self, room: int = 3, before: Callable[[Span], None] = lambda _: None) -> None:
        self.room, self._before = room, before
        self.begun: list[Span] = []
        self.did: list[Mapping[str, Entry]] = []
        self.most = 0
        self._under_way: deque[Span] = deque()

    def start(self, work: Work) -> None:
        self._work: Work = pickle.loads(pickle.dumps(work))

    def begin(self, span: Span) -> None:
        self.begun.append(span)
        self._under_way.append(span)
        self.most = max(self.most, len(self._under_way))

    def ended(self) -> list[tuple[Span, Done | UnreachableError]]:
        span = self._under_way.pop()
        try:
            self._before(span)
            done = self._work.do(span)
            self.did.append(done.entries)
            return [(span, done)]
        except UnreachableError as error:
            return [(span, error)]
