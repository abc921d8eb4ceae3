"""Looks on while requests are answered, in a thread beside the event loop's."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from tasks.scoring.rows import Finding
from tasks.serving.asking import Answered, Asked
from tasks.serving.beside.block import Block, size_of
from tasks.serving.beside.endpoints import Endpoints
from tasks.serving.beside.log import RequestLog
from tasks.serving.beside.sent import Sent
from tasks.serving.served import Served

LOG = logging.getLogger("perennial.serve")
MOST_BYTES = 64 << 20
"""Of rows that wait for the thread, about; of more only the number is known."""
MOST_WAITING = 200_000
"""Requests; more come only while a disk hangs, and are not seen at all."""
WAKING_BYTES = 4 << 20
"""From which on the thread is woken before its time."""
SECONDS, SHARING_SECONDS = 0.5, 1.0
"""Between looks, and between telling other processes what was seen."""
ROWS_AT_ONCE, BREATH = 1024, 0.001
"""Rows that are looked at together, and seconds after them, in which requests are answered."""


class Onlooker:
    """An observer that costs the event loop no more than a look: the rest is done in its thread."""

    def __init__(self, log: RequestLog | None, endpoints: Endpoints | None) -> None:
        self._log, self._endpoints = log, endpoints
        self._queue: deque[tuple[Sent, bool]] = deque()
        # Each is written by one thread alone.
        self._put = self._taken = 0
        self._shared = 0.0
        self._wake, self._over = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="onlooker", daemon=True)
        self._thread.start()

    async def answered(self, answered: Answered) -> None:
        """Keeps what is logged, and what an endpoint has sent."""
        asked = answered.asked
        logged = self._log is not None and self._log.chosen(asked.id)
        if not (logged or (asked.endpoint and self._endpoints)):
            return
        if len(self._queue) >= MOST_WAITING:
            return
        size = size_of(answered)
        fits = self._put - self._taken + size <= MOST_BYTES
        self._put += size if fits else 0
        sent = Sent(answered.served, asked.endpoint, len(asked.rows), answered.at, (), answered if fits else None)
        self._queue.append((sent, logged))
        if self._put - self._taken > WAKING_BYTES:
            self._wake.set()

    def refused(self, served: Served, asked: Asked, findings: Sequence[Finding]) -> None:
        """Keeps what an endpoint has sent in vain."""
        if asked.endpoint and self._endpoints and len(self._queue) < MOST_WAITING:
            self._queue.append((Sent(served, asked.endpoint, len(asked.rows), time.time(), tuple(findings)), False))

    def close(self) -> None:
        """Ends the thread, after it has looked at all and the log is written."""
        self._over = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over:
            self._wake.wait(SECONDS)
            self._wake.clear()
            self._safely(self._look)
        self._safely(self._look)
        if self._log:
            self._safely(self._log.close)

    @staticmethod
    def _safely(work: Callable[[], None]) -> None:
        """Whatever goes wrong here is told, and keeps no request from its answer."""
        try:
            work()
        except Exception:
            LOG.exception("beside the answers")

    def _look(self) -> None:
        while self._queue:
            self._look_at(self._some())
            if self._queue:
                time.sleep(BREATH)
        if self._log:
            self._log.tick()
        if self._endpoints and (self._over or time.monotonic() - self._shared >= SHARING_SECONDS):
            self._shared = time.monotonic()
            self._endpoints.tick()

    def _some(self) -> list[tuple[Sent, bool]]:
        """What came first, at most so many rows unless one request has more."""
        found, rows = [], 0
        while self._queue and rows < ROWS_AT_ONCE:
            found.append(self._queue.popleft())
            rows += found[-1][0].rows
        return found

    def _look_at(self, some: Sequence[tuple[Sent, bool]]) -> None:
        if self._log:
            self._safely(lambda: self._write_down([sent for sent, chosen in some if chosen]))
        endpoints = self._endpoints
        if endpoints:
            self._safely(lambda: endpoints.take([sent for sent, _ in some if sent.endpoint]))
        self._taken += sum(size_of(sent.answered) for sent, _ in some if sent.answered)

    def _write_down(self, chosen: Sequence[Sent]) -> None:
        if self._log is None:
            return
        for block in Block.each([sent.answered for sent in chosen if sent.answered]):
            self._log.take(block)
        lost = sum(sent.rows for sent in chosen if sent.answered is None)
        if lost:
            self._log.lose(lost)
