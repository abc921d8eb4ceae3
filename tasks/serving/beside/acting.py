"""Actions on live decisions: the rows that they take are on the disk before the answer leaves."""

import asyncio
import errno
import logging
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import pyarrow as pa

from tasks.actions.select import Actions
from tasks.scoring.rows import Finding
from tasks.serving.asking import Answered, Asked
from tasks.serving.beside.block import Block
from tasks.serving.beside.boxes import NEW, begin_box, box_of
from tasks.serving.beside.decisions import select
from tasks.serving.beside.segments import Segment
from tasks.serving.problem import RequestError
from tasks.serving.served import Served

LOG = logging.getLogger("perennial.serve")
SEGMENT_SECONDS = 0.2
"""After which rows are handed on to be delivered."""
MOST_AT_ONCE = 1024
"""Requests of one commit."""
MOST_VERSIONS = 8
"""Whose conditions are remembered."""
TOLD_SECONDS = 60.0
"""Between lines about a disk that refuses."""


@dataclass(frozen=True)
class _Waiting:
    answered: Answered
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[None]"


class Acting:
    """An observer that lets answers of versions with actions wait until what follows from them can't be lost.

    Requests that arrive while rows are written are written together.
    """

    def __init__(self, above: Path) -> None:
        """`above` is the folder of all models' live decisions."""
        self._above = above
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._actions: dict[int, tuple[Served, Actions, Path]] = {}
        self._segments: dict[Path, tuple[Segment, float]] = {}
        self._told = -TOLD_SECONDS
        self._thread = threading.Thread(target=self._run, name="acting", daemon=True)
        self._thread.start()

    async def answered(self, answered: Answered) -> None:
        """Waits until the rows that actions take are on the disk. Raises RequestError where the disk refuses them."""
        if not answered.served.contract.actions:
            return
        loop = asyncio.get_running_loop()
        waiting = _Waiting(answered, loop, loop.create_future())
        self._queue.put(waiting)
        await waiting.future

    def refused(self, served: Served, asked: Asked, findings: Sequence[Finding]) -> None:
        """Nothing follows from rows without a decision."""

    def close(self) -> None:
        """Ends the thread; all segments are handed on."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (group := self._next()) is not None:
            if group:
                error = self._commit(group)
                group[0].loop.call_soon_threadsafe(_settle, group, error)
            self._hand_on(time.monotonic() - SEGMENT_SECONDS)
        self._hand_on(time.monotonic())

    def _next(self) -> list[_Waiting] | None:
        """What waits; nothing where nothing came for a moment, None at the end."""
        try:
            first = self._queue.get(timeout=SEGMENT_SECONDS if self._segments else None)
        except queue.Empty:
            return []
        group: list[_Waiting] = []
        following: _Waiting | None = first
        while following is not None:
            group.append(following)
            if len(group) == MOST_AT_ONCE or self._queue.empty():
                return group
            following = self._queue.get()
        if group:
            # The end comes behind these.
            self._queue.put(None)
            return group
        return None

    def _commit(self, group: Sequence[_Waiting]) -> dict[int, Exception]:
        """Writes what the group leads to; errors by the position of those that they belong to."""
        errors: dict[int, Exception] = {}
        places = {id(waiting.answered): place for place, waiting in enumerate(group)}
        for block in Block.each([waiting.answered for waiting in group]):
            try:
                self._write(block)
            except OSError as error:
                self._tell(error)
                errors |= {places[id(answered)]: _unkept() for answered in block.requests}
            except Exception as error:
                LOG.exception("actions of %s", block.served.name)
                errors |= {places[id(answered)]: error for answered in block.requests}
        return errors

    def _write(self, block: Block) -> None:
        actions, box = self._actions_of(block.served)
        for name, tables in select(actions, block).items():
            begin_box(box, actions.actions)
            self._append(box / name / NEW, tables)

    def _append(self, folder: Path, tables: Sequence[pa.Table]) -> None:
        if folder not in self._segments:
            self._segments[folder] = Segment(folder), time.monotonic()
        segment, _ = self._segments[folder]
        try:
            segment.append(tables)
        except OSError:
            # What is behind half a table would not be found.
            del self._segments[folder]
            segment.close()
            raise

    def _hand_on(self, before: float) -> None:
        for folder, (segment, begun) in list(self._segments.items()):
            if begun <= before:
                segment.close()
                del self._segments[folder]

    def _actions_of(self, served: Served) -> tuple[Actions, Path]:
        known = self._actions.get(id(served))
        if known is None:
            if len(self._actions) >= MOST_VERSIONS:
                self._actions.clear()
            contract = served.contract
            known = served, Actions(contract.actions, contract.classes), box_of(self._above, contract)
            self._actions[id(served)] = known
        return known[1], known[2]

    def _tell(self, error: OSError) -> None:
        if time.monotonic() - self._told >= TOLD_SECONDS:
            self._told = time.monotonic()
            what = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
            LOG.error("%s: %s; decisions that actions follow from are answered with 503", self._above, what)


def _unkept() -> RequestError:
    text = (
        "the decision can't be kept for the actions that follow from it; send the request again with its X-Request-ID"
    )
    return RequestError(HTTPStatus.SERVICE_UNAVAILABLE, text, headers={"Retry-After": "1"})


def _settle(group: Sequence[_Waiting], errors: dict[int, Exception]) -> None:
    for place, waiting in enumerate(group):
        if waiting.future.done():
            continue
        if place in errors:
            waiting.future.set_exception(errors[place])
        else:
            waiting.future.set_result(None)
