"""What a process knows of the endpoints that send to it, and shares with the other processes of the server."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.serving.beside.counts import EndpointCounts
from tasks.serving.beside.sent import Sent
from tasks.serving.beside.shared import State, write_state
from tasks.serving.served import Served

if TYPE_CHECKING:
    from tasks.serving.beside.windows import Windows


class _Model:
    """The endpoints of one name."""

    def __init__(self, name: str) -> None:
        self.name, self.since = name, time.time()
        self.counts = EndpointCounts()
        self.served: Served | None = None
        self.windows: Windows | None = None
        self.changed = True
        self._new: set[int] = set()
        """Places that endpoints were given now."""

    def take(self, sents: Sequence[Sent]) -> None:
        """Counts what was sent; the version that came last is the one whose rows are compared."""
        if not _is_same(sents[-1].served, self.served):
            self._turn_to(sents[-1].served)
        # It may run otherwise now, and what it ran with need not stay in memory.
        self.served = sents[-1].served
        self._new = set()
        places = [self._place_of(sent) for sent in sents]
        self.changed = True
        if self.windows is None:
            return
        self.windows.fit(self.counts)
        for place in self._new:
            self.windows.clear(place)
        # An endpoint may have lost its place while others of this very moment were counted.
        kept = [
            (sent, place)
            for sent, place in zip(sents, places, strict=True)
            if _is_same(sent.served, self.served) and self.counts.is_at(sent.endpoint, place)
        ]
        if kept:
            self.windows.add([sent for sent, _ in kept], [place for _, place in kept])

    def _place_of(self, sent: Sent) -> int:
        new = sent.endpoint not in self.counts.places
        place = self.counts.add(sent)
        if new:
            self._new.add(place)
        return place

    def _turn_to(self, served: Served) -> None:
        # Late: a server that no endpoint sends to does without.
        from tasks.serving.beside.windows import Expected, Windows

        self.windows = None
        expected = Expected.known_of(served)
        if expected:
            self.counts.most = min(self.counts.most, expected.most_endpoints)
            self.windows = Windows(expected, self.counts.capacity)


def _is_same(served: Served, other: Served | None) -> bool:
    """Whether the files are those of one version, however it runs."""
    return other is not None and served.folder == other.folder


class Endpoints:
    """Of one process; works in one thread."""

    def __init__(self, folder: Path) -> None:
        """`folder` is that of all processes of the server."""
        self._folder = folder
        self._models: dict[str, _Model] = {}

    def take(self, sents: Sequence[Sent]) -> None:
        """Counts what was sent."""
        by_name: dict[str, list[Sent]] = {}
        for sent in sents:
            by_name.setdefault(sent.served.name, []).append(sent)
        for name, some in by_name.items():
            self._models.setdefault(name, _Model(name)).take(some)

    def tick(self) -> None:
        """Shares what has changed."""
        for model in self._models.values():
            if model.changed:
                write_state(self._folder, str(os.getpid()), _state_of(model))
                model.changed = False


def _state_of(model: _Model) -> State:
    counts, windows = model.counts, model.windows
    names = sorted(counts.places, key=counts.places.__getitem__)
    many = len(names)
    return State(
        model.name,
        model.served.version if model.served else "",
        model.since,
        counts.let_go,
        tuple(names),
        tuple(dict(counts.reasons.get(place, {})) for place in range(many)),
        counts.second,
        counts.totals[:many],
        counts.last[:many],
        counts.recent[:many],
        None if windows is None else windows.counts[:, :many].sum(axis=0),
        None if windows is None else windows.rows[:, :many].sum(axis=0),
    )
