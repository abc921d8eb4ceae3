"""The models of one server process: which version of each answers now."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from tasks.serving.batcher import Batcher
from tasks.serving.problem import RequestError
from tasks.serving.served import Served
from tasks.serving.wanted import Wanted, read_wanted

LOG = logging.getLogger("perennial.serve")


@dataclass(frozen=True)
class Live:
    """One name: the version that answers now, and the batches of its requests. Requests hold on to this pair."""

    served: Served
    batcher: Batcher


class Models:
    """The names that a process answers under."""

    def __init__(self, wanted: Path, make_batcher: Callable[[], Batcher], told: Callable[[str, str], None]) -> None:
        """`wanted` is the file that `write_wanted` writes; `told` gets name and version that could not be taken."""
        self._wanted, self._make_batcher, self._told = wanted, make_batcher, told
        self._stamp: tuple[int, int] | None = None
        self._taken: dict[str, Wanted] = {}
        self.live: dict[str, Live] = {}

    def find(self, name: str, version: str | None = None) -> Live:
        """Raises RequestError where nothing answers under that name, or another version does."""
        found = self.live.get(name)
        if found is None:
            known = ", ".join(map(repr, self.live)) or "none yet"
            raise RequestError(HTTPStatus.NOT_FOUND, f"no model {name!r} is served; there are: {known}")
        if version is not None and version != found.served.version:
            text = f"{name} answers with version {found.served.version}, not {version}"
            raise RequestError(HTTPStatus.NOT_FOUND, text)
        return found

    def changed(self) -> bool:
        """Whether other versions are wanted than when `take` was called last."""
        try:
            found = self._wanted.stat()
        except FileNotFoundError:
            return False
        return (found.st_ino, found.st_mtime_ns) != self._stamp

    def take(self) -> None:
        """Loads the versions that are wanted and new, or run otherwise than before.

        One that can't be loaded leaves the one before in its place. Requests in progress end with the version that they
        began with. Raises PerennialError for a version that can't be loaded and follows none.
        """
        found = self._wanted.stat()
        for name, wanted in read_wanted(self._wanted).items():
            before = self.live.get(name)
            if self._taken.get(name) == wanted:
                continue
            try:
                served = Served.load(name, wanted)
            except Exception as error:
                # Also what ONNX Runtime or the disk says: others of the file must not wait for this one.
                if before is None:
                    raise
                LOG.error(
                    "%s version %s is not taken, %s goes on: %s", name, wanted.version, before.served.version, error
                )
                self._told(name, wanted.version)
                continue
            if before:
                self.live[name] = Live(served, before.batcher)
                measured = ", as it was measured," if before.served.version == wanted.version else ""
                LOG.info("%s answers with version %s%s from now on", name, wanted.version, measured)
            else:
                self.live[name] = Live(served, self._make_batcher())
            self._taken[name] = wanted
        self._stamp = (found.st_ino, found.st_mtime_ns)

    def close(self) -> None:
        """Waits for batches in progress."""
        for live in self.live.values():
            live.batcher.close()
