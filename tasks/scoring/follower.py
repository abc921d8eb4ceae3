"""Hashes a file while it is written, and has the disk take what is there, so that little is left to do at its end."""

import hashlib
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

AT_ONCE = 1 << 20
"""Bytes that are read at once."""


class Follower:
    """Stays behind the writer of a file that only grows, in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._hash = hashlib.sha256()
        self._thread = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None

    def follow(self) -> None:
        """Takes what was written by now, unless it still takes what was there before.

        Raises OSError where the disk did not take that: asked once more it would say that all is well.
        """
        if self._last is None or self._last.done():
            self._require_taken()
            self._last = self._thread.submit(self._take)

    def finish(self) -> str:
        """The SHA-256 of the finished file in hexadecimal digits; all of it is on the disk.

        Raises OSError where the disk does not take it.
        """
        self._require_taken()
        self._thread.submit(self._take).result()
        self.close()
        return self._hash.hexdigest()

    def close(self) -> None:
        """Stops following."""
        self._thread.shutdown()
        self._file.close()

    def _require_taken(self) -> None:
        if self._last:
            self._last.result()

    def _take(self) -> None:
        while some := self._file.read(AT_ONCE):
            self._hash.update(some)
        os.fdatasync(self._file.fileno())
