"""Goes behind the writer of a file, so that little is left to do at its end: hashes it, and brings it to its place."""

import ctypes
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from models.errors import OutsideError

AT_ONCE = 1 << 20
"""Bytes that are read at once."""


class Upload:
    """An object that is sent while it is made, and visible when it is whole."""

    def __init__(self, filesystem: fs.FileSystem, path: str, watch: Callable[[], None] = lambda: None) -> None:
        """Nothing is begun, completed or taken away when `watch` raises, whose errors but OSError are raised."""
        self._filesystem, self._path, self._watch = filesystem, path, watch
        self._stream: pa.NativeFile | None = None
        self._failed = False

    def send(self, some: bytes) -> None:
        """Sends what follows; nothing more once the store has not taken something."""
        if self._failed:
            return
        try:
            if self._stream is None:
                self._watch()
                self._stream = self._filesystem.open_output_stream(self._path)
            self._stream.write(some)
        except OSError:
            self._failed = True

    def finish(self) -> bool:
        """Whether the whole object has arrived."""
        try:
            if self._stream:
                self._watch()
                self._stream.close()
        except OSError:
            self._failed = True
        return self._stream is not None and not self._failed

    def discard(self) -> None:
        """What has arrived is taken away, as long as the store answers."""
        if not self._stream:
            return
        try:
            self._watch()
        except (OutsideError, OSError):
            _keep_for_good(self._stream)
            return
        with suppress(OSError):
            self._stream.close()
            self._filesystem.delete_file(self._path)


def _keep_for_good(stream: pa.NativeFile) -> None:
    """Neither closes the stream nor lets it go, not even at the end of the process: both would complete its object."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(stream))


class Follower:
    """Takes a file that only grows, in a thread of its own."""

    def __init__(self, path: Path, upload: Upload | None = None) -> None:
        """Without an upload, the disk gets what is written by and by, instead of all at the end."""
        self.arrived = False
        """Whether the finished file is where it stays."""
        self._file = path.open("rb", buffering=0)
        self._hash = hashlib.sha256()
        self._upload = upload
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
        """The SHA-256 of the finished file in hexadecimal digits. Raises OSError where the disk does not take it."""
        self._require_taken()
        self._thread.submit(self._take).result()
        self.arrived = self._upload is not None and self._upload.finish()
        self._close()
        return self._hash.hexdigest()

    def discard(self) -> None:
        """Nothing of the file stays where it was brought."""
        self._close()
        if self._upload:
            self._upload.discard()

    def _close(self) -> None:
        self._thread.shutdown()
        self._file.close()

    def _require_taken(self) -> None:
        if self._last:
            self._last.result()

    def _take(self) -> None:
        while some := self._file.read(AT_ONCE):
            self._hash.update(some)
            if self._upload:
                self._upload.send(some)
        if not self._upload:
            os.fdatasync(self._file.fileno())
