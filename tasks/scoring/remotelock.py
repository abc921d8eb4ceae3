"""A lock in an object store: a small file with a heartbeat, since such stores lock nothing."""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tasks.aside import HeldError, runs
from tasks.scoring.store import Store

LOCK = "lock"
BEAT = 5.0
"""Seconds between signs of life."""
SILENT = 3 * BEAT
"""Seconds without one after which the holder is taken for dead; clocks of several machines are not compared."""


@contextmanager
def held_remotely(store: Store, holder: str) -> Iterator[Callable[[str], None]]:
    """Keeps the store to this process; whoever comes meanwhile is told `holder`, which what is yielded changes.

    A lock whose process on this machine has ended is taken over at once, others when they have shown no sign of life
    for a while. Raises HeldError when it is held.
    """
    _require_dead(store)
    lock = _Lock(store, holder)
    lock.write()
    # Of two that come at once the one that wrote last stays.
    time.sleep(0.2)
    if (_read(store) or {}).get("token") != lock.token:
        raise HeldError((_read(store) or {}).get("holder", "another run"))
    beating = threading.Thread(target=lock.beat, daemon=True)
    beating.start()
    try:
        yield lock.tell
    finally:
        lock.stopped.set()
        beating.join()
        store.remove(LOCK)


class _Lock:
    def __init__(self, store: Store, holder: str) -> None:
        self.token, self.stopped = uuid.uuid4().hex, threading.Event()
        self._store, self._holder, self._beats = store, holder, 0
        self._writing = threading.Lock()

    def tell(self, holder: str) -> None:
        self._holder = holder
        self.write()

    def write(self) -> None:
        with self._writing:
            self._beats += 1
            told = {"holder": self._holder, "token": self.token, "beats": self._beats}
            where = {"host": socket.gethostname(), "process": os.getpid()}
            self._store.write(LOCK, json.dumps(told | where).encode())

    def beat(self) -> None:
        while not self.stopped.wait(BEAT):
            # A store that is away is told of by the run itself.
            with suppress(OSError):
                self.write()


def _require_dead(store: Store) -> None:
    found = _read(store)
    if found is None or (found["host"] == socket.gethostname() and not runs(found["process"])):
        return
    deadline = time.monotonic() + SILENT
    while time.monotonic() < deadline:
        time.sleep(BEAT / 10)
        now = _read(store)
        if now is None:
            return
        if now != found:
            raise HeldError(now["holder"])


def _read(store: Store) -> dict[str, Any] | None:
    content = store.read(LOCK)
    return None if content is None else json.loads(content)
