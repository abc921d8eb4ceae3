"""Counts of what each endpoint has sent to one model, bounded: the one that was silent longest is let go."""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tasks.serving.beside.sent import Sent

Number = TypeVar("Number", bound=np.generic)
MOST_ENDPOINTS = 1000
MOST_REASONS = 20
"""Of an endpoint that are counted one by one."""
OTHER = "other"
SECONDS = 60
"""Over which the rate is told."""
FIRST = 16
"""Endpoints that there is room for at first."""


class EndpointCounts:
    """Each endpoint has a place, by which other arrays know it too."""

    def __init__(self, most: int = MOST_ENDPOINTS) -> None:
        self.most, self.let_go = most, 0
        self.places: OrderedDict[str, int] = OrderedDict()
        """Of each endpoint; the one that sent last is last."""
        self.capacity = min(FIRST, most)
        self.totals: NDArray[np.int64] = np.zeros((self.capacity, 3), np.int64)
        """Requests, rows, rejected rows."""
        self.last: NDArray[np.float64] = np.zeros(self.capacity)
        self.recent: NDArray[np.int32] = np.zeros((self.capacity, SECONDS), np.int32)
        """Rows of each second of the last minute."""
        self.second = 0
        self.reasons: dict[int, Counter[str]] = {}

    def add(self, sent: Sent) -> int:
        """Counts a request; the place of its endpoint."""
        place, second = self._place_of(sent.endpoint), int(sent.at)
        self._turn_to(second)
        totals = self.totals[place]
        totals[0] += 1
        if sent.at > self.last[place]:
            self.last[place] = sent.at
        if sent.findings:
            totals[2] += sent.rejected
            self._count_reasons(place, sent.reasons)
            return place
        totals[1] += sent.rows
        if second > self.second - SECONDS:
            self.recent[place, second % SECONDS] += sent.rows
        return place

    def is_at(self, endpoint: str, place: int) -> bool:
        """Whether the endpoint still has that place."""
        return self.places.get(endpoint) == place

    def _count_reasons(self, place: int, reasons: Sequence[str]) -> None:
        counted = self.reasons.setdefault(place, Counter())
        for reason in reasons:
            # What stands behind may be the caller's own words.
            name = reason.partition(" (did you mean")[0].partition(";")[0]
            counted[name if name in counted or len(counted) < MOST_REASONS else OTHER] += 1

    def _turn_to(self, second: int) -> None:
        """Forgets the rows of seconds that are a minute ago."""
        if second <= self.second:
            return
        for gone in range(max(self.second + 1, second - SECONDS + 1), second + 1):
            self.recent[:, gone % SECONDS] = 0
        self.second = second

    def _place_of(self, endpoint: str) -> int:
        place = self.places.get(endpoint)
        if place is not None:
            self.places.move_to_end(endpoint)
            return place
        if len(self.places) < self.most:
            place = len(self.places)
            if place == self.capacity:
                self._grow()
        else:
            _, place = self.places.popitem(last=False)
            self.let_go += 1
            self.totals[place], self.last[place], self.recent[place] = 0, 0.0, 0
            self.reasons.pop(place, None)
        self.places[endpoint] = place
        return place

    def _grow(self) -> None:
        self.capacity = min(self.most, 2 * self.capacity)
        self.totals = grown(self.totals, self.capacity)
        self.last = grown(self.last, self.capacity)
        self.recent = grown(self.recent, self.capacity)


def grown(array: NDArray[Number], capacity: int, axis: int = 0) -> NDArray[Number]:
    """The array with zeros behind it."""
    missing = [(0, 0)] * array.ndim
    missing[axis] = (0, capacity - array.shape[axis])
    return np.pad(array, missing)
