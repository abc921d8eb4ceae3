"""A lock in an object store: a small file with a heartbeat, since such stores lock nothing."""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from models.errors import OutsideError
from tasks.aside import HeldError, runs
from tasks.scoring.store import ObjectStore, patiently

LOCK = "lock"
BEAT = 5.0
"""Seconds between signs of life."""
SILENT = 3 * BEAT
"""Seconds without one after which the holder is taken for dead; clocks of several machines are not compared."""


@contextmanager
def held_remotely(store: ObjectStore, holder: str, shown: str) -> Iterator["RemoteLock"]:
    """Keeps the store to this process; whoever comes meanwhile is told `holder`, which what is yielded changes.

    A lock whose process on this machine has ended is taken over at once, others when they have shown no sign of life
    for a while. `shown` names the output to people. Raises HeldError when it is held.
    """
    _require_dead(store)
    lock = RemoteLock(store, holder, shown)
    patiently(lock.write)
    # Of two that come at once the one that wrote last stays.
    time.sleep(0.2)
    found = patiently(lambda: _read(store)) or {}
    if found.get("token") != lock.token:
        raise HeldError(found.get("holder", "another run"))
    beating = threading.Thread(target=lock.beat, daemon=True)
    beating.start()
    try:
        yield lock
    finally:
        lock.stopped.set()
        beating.join()
        lock.release()


class RemoteLock:
    """A lock that this process holds, until another one has taken it for dead."""

    def __init__(self, store: ObjectStore, holder: str, shown: str) -> None:
        self.token, self.stopped = uuid.uuid4().hex, threading.Event()
        self._store, self._holder, self._shown, self._beats = store, holder, shown, 0
        self._lost: str | None = None
        """Who has taken it."""
        self._alive = _clocks()
        """When the last sign of life was sent that arrived."""
        self._writing = threading.Lock()

    def tell(self, holder: str) -> None:
        """Whoever comes from now on is told so."""
        self._holder = holder
        patiently(self.renew)

    def require(self, anew: bool = False) -> None:
        """Passes while no other run has taken the lock. Raises OutsideError then, OSError where nobody can tell.

        The store is asked only with `anew`, and when so long nothing was heard of this run that another might soon take
        it for dead: what it does next is done long before that. If it stops right after this call for as long as others
        wait, one file may still be written after it wakes up; where that is a part, the output is told to be damaged
        by `--verify`.
        """
        if anew or _seconds_since(self._alive) > 2 * BEAT:
            self.renew()
        if self._lost:
            raise OutsideError(
                f"{self._shown}: {self._lost} took it over while this run showed no sign of life; this one has ended"
            )

    def holds(self) -> bool:
        """Whether no other run has taken the lock, as far as can be told."""
        try:
            self.require(anew=True)
        except (OutsideError, OSError):
            return False
        return True

    def renew(self) -> None:
        """Shows a sign of life, if the lock is still this run's; tried once, since it may not be for long."""
        with self._writing:
            found = _read(self._store) or {}
            if found.get("token") != self.token:
                self._lost = found.get("holder", "another run")
            if not self._lost:
                self.write()

    def write(self) -> None:
        """Takes the lock, whosever it is."""
        now = _clocks()
        self._beats += 1
        told = {"holder": self._holder, "token": self.token, "beats": self._beats}
        where = {"host": socket.gethostname(), "process": os.getpid()}
        self._store.write_at_once(LOCK, json.dumps(told | where).encode())
        self._alive = now

    def beat(self) -> None:
        """Shows signs of life until the lock is let go or lost."""
        while not (self._lost or self.stopped.wait(BEAT)):
            # A store that is away is told of by the run itself.
            with suppress(OSError):
                self.renew()

    def release(self) -> None:
        """Lets the lock go, and leaves that of another run."""
        found = patiently(lambda: _read(self._store)) or {}
        if found.get("token") == self.token:
            self._store.remove(LOCK)


def _clocks() -> tuple[float, float]:
    """One stands still while the machine sleeps, the other may be set back."""
    return time.monotonic(), time.time()


def _seconds_since(clocks: tuple[float, float]) -> float:
    return max(now - then for now, then in zip(_clocks(), clocks, strict=True))


def _require_dead(store: ObjectStore) -> None:
    found = patiently(lambda: _read(store))
    if found is None or (found["host"] == socket.gethostname() and not runs(found["process"])):
        return
    deadline = time.monotonic() + SILENT
    while time.monotonic() < deadline:
        time.sleep(BEAT / 10)
        now = patiently(lambda: _read(store))
        if now is None:
            return
        if now != found:
            raise HeldError(now["holder"])


def _read(store: ObjectStore) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(store.read_at_once(LOCK))
    except FileNotFoundError:
        return None
    return found
