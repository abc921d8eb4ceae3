"""Requests that arrive together are scored together: ten rows take a graph hardly longer than one."""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.scoring.predictor import Predictions
from tasks.serving.served import Served

Feed = dict[str, NDArray[Any]]
Outcome = Predictions | Exception
INLINE_SECONDS = 0.0003
"""A batch that is scored in less time is not worth the way to another thread and back."""
LARGE = 256
"""More rows are a large request, as are some that seem to take long, by the time that one takes."""
SOME, LARGE_SECONDS = 10, 0.05


@dataclass(frozen=True)
class _Waiting:
    served: Served
    feed: Feed
    rows: int
    future: "asyncio.Future[Predictions]"


class Batcher:
    """Scores what has come since the last batch; one batch at a time, in a thread beside the event loop's.

    Large requests wait for each other alone: a few rows would else wait as long as thousands take.
    """

    def __init__(self, rows: int, wait: float = 0.0) -> None:
        """A batch has at most `rows` rows unless one request has more; `wait` are seconds that the first one waits."""
        self._small, self._large = _Lane(rows, wait, "batches"), _Lane(rows, wait, "large batches")

    async def predict(self, served: Served, feed: Feed, rows: int) -> Predictions:
        """Those of graph inputs, each [rows, ...]. Raises what ONNX Runtime does."""
        slow = rows >= SOME and rows * served.single_seconds > LARGE_SECONDS
        return await (self._large if rows > LARGE or slow else self._small).predict(served, feed, rows)

    def close(self) -> None:
        """Waits for batches in progress."""
        self._small.close()
        self._large.close()


class _Lane:
    """Batches that follow each other."""

    def __init__(self, rows: int, wait: float, name: str) -> None:
        self._rows, self._wait = rows, wait
        self._queue: deque[_Waiting] = deque()
        self._pool = ThreadPoolExecutor(1, name)
        self._busy = False

    async def predict(self, served: Served, feed: Feed, rows: int) -> Predictions:
        """As that of all lanes."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Predictions] = loop.create_future()
        self._queue.append(_Waiting(served, feed, rows, future))
        if not self._busy:
            self._busy = True
            if self._wait:
                loop.call_later(self._wait, self._start)
            else:
                # Behind whatever else has arrived by now.
                loop.call_soon(self._start)
        return await future

    def close(self) -> None:
        """Waits for the batch in progress."""
        self._pool.shutdown()

    def _start(self) -> None:
        batch = self._next()
        if not batch:
            self._busy = False
            return
        loop = asyncio.get_running_loop()
        if batch[0].served.single_seconds * len(batch) < INLINE_SECONDS and sum(w.rows for w in batch) == len(batch):
            self._finish(batch, _outcomes(batch))
            loop.call_soon(self._start)
            return
        running = loop.run_in_executor(self._pool, _outcomes, batch)
        running.add_done_callback(lambda done: self._ended(batch, done))

    def _ended(self, batch: Sequence[_Waiting], done: "asyncio.Future[list[Outcome]]") -> None:
        self._finish(batch, done.result())
        self._start()

    def _next(self) -> list[_Waiting]:
        """The first ones that wait, of one version; those that were given up are left out."""
        batch: list[_Waiting] = []
        rows = 0
        while self._queue:
            first = self._queue[0]
            if batch and (first.served is not batch[0].served or rows + first.rows > self._rows):
                break
            self._queue.popleft()
            if not first.future.done():
                batch.append(first)
                rows += first.rows
        return batch

    @staticmethod
    def _finish(batch: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if waiting.future.done():
                continue
            if isinstance(outcome, Exception):
                waiting.future.set_exception(outcome)
            else:
                waiting.future.set_result(outcome)


def _outcomes(batch: Sequence[_Waiting]) -> list[Outcome]:
    """What each gets. Where a batch fails, its members are scored by themselves: only the cause is told of it."""
    try:
        found = batch[0].served.graph.run(_joined(batch))
    except Exception as error:
        # Whatever ONNX Runtime raises belongs to those who wait for it.
        return [error] if len(batch) == 1 else [outcome for waiting in batch for outcome in _outcomes([waiting])]
    if len(batch) == 1:
        return [found]
    ends = list(accumulate(waiting.rows for waiting in batch))
    return [found.part(slice(start, end)) for start, end in zip([0, *ends], ends, strict=False)]


def _joined(batch: Sequence[_Waiting]) -> Feed:
    if len(batch) == 1:
        return batch[0].feed
    return {name: np.concatenate([waiting.feed[name] for waiting in batch]) for name in batch[0].feed}
