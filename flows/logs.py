"""Files that servers write what they have to say to."""

from pathlib import Path
from typing import BinaryIO

LARGEST_LOG = 1_000_000
"""Bytes, beyond which a log is started anew."""


def open_log(path: Path) -> BinaryIO:
    """The file, opened to write at its end; emptied before where it has grown large."""
    path.parent.mkdir(parents=True, exist_ok=True)
    large = path.exists() and path.stat().st_size > LARGEST_LOG
    return path.open("wb" if large else "ab")


class Followed:
    """A log that grows, read line by line from where it ended when this was made."""

    def __init__(self, path: Path) -> None:
        self._log = path.open("rb")
        self._log.seek(0, 2)
        self._begun = b""

    def new_lines(self) -> list[str]:
        """Lines that were finished since the last call."""
        *lines, self._begun = (self._begun + self._log.read()).split(b"\n")
        return [line.decode(errors="replace").rstrip() for line in lines]

    def close(self) -> None:
        """No more is read."""
        self._log.close()
