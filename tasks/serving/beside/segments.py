"""Rows that are on the disk before anybody is told of them: small tables appended to files, one sync for all at once.

A file is held by the process that appends to it. Once nobody holds it, because it was closed or its process was killed,
what is whole in it may be taken.
"""

import fcntl
import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from tasks.aside import flush_to_disk

ENDING = ".rows"
HEAD = struct.Struct("<II")
"""Bytes of the table behind it, and their CRC-32."""
MARK = b"\xff\xff\xff\xff"
"""With which a table begins, as every message of Arrow's stream format does."""


class Segment:
    """A file under way."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError where the disk refuses it."""
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{uuid4().hex}{ENDING}"
        hidden = folder / f".{name}"
        self._file = hidden.open("xb", buffering=0)
        try:
            # Held before anybody can see it.
            fcntl.flock(self._file, fcntl.LOCK_EX)
            hidden.rename(folder / name)
            for above in (folder, folder.parent, folder.parent.parent):
                flush_to_disk(above)
        except OSError:
            self._file.close()
            with suppress(OSError):
                hidden.unlink(missing_ok=True)
            raise

    def append(self, tables: Sequence[pa.Table]) -> None:
        """The tables are on the disk when this returns. Raises OSError; nothing may be appended after that."""
        content = b"".join(map(_framed, tables))
        written, before = 0, self._file.tell()
        try:
            while written < len(content):
                written += self._file.write(memoryview(content)[written:]) or 0
            os.fdatasync(self._file.fileno())
        except OSError:
            # Nobody is told of these rows, and they are no damage.
            with suppress(OSError):
                self._file.truncate(before)
            raise

    def close(self) -> None:
        """Lets go of it."""
        self._file.close()


def _framed(table: pa.Table) -> bytes:
    held = io.BytesIO()
    with pa.ipc.new_stream(held, table.schema) as stream:
        stream.write_table(table)
    content = held.getvalue()
    return HEAD.pack(len(content), zlib.crc32(content)) + content


def read_segment(path: Path) -> list[pa.Table]:
    """The tables that are whole."""
    return [table for table in read_pieces(path) if table is not None]


def read_pieces(path: Path) -> list[pa.Table | None]:
    """The tables that are whole, None for what lies between or behind them and can't be read.

    A process that was killed while it wrote has told nobody of what is behind the last whole table.
    """
    content, found, start = path.read_bytes(), list[pa.Table | None](), 0
    while start < len(content):
        table, end = _table_at(content, start)
        if table is None:
            end = _next_table(content, start + 1)
        found.append(table)
        start = end
    return found


def _table_at(content: bytes, start: int) -> tuple[pa.Table | None, int]:
    """The table whose head begins there, and where it ends; None where there is none."""
    if start + HEAD.size > len(content):
        return None, start
    length, checksum = HEAD.unpack_from(content, start)
    piece = memoryview(content)[start + HEAD.size : start + HEAD.size + length]
    if not length or len(piece) < length or zlib.crc32(piece) != checksum:
        return None, start
    try:
        return pa.ipc.open_stream(piece).read_all(), start + HEAD.size + length
    except (pa.ArrowException, OSError):
        # It was written so, by a release that writes otherwise.
        return None, start


def _next_table(content: bytes, start: int) -> int:
    """Where the head of the next whole table begins; the end where there is none."""
    while (mark := content.find(MARK, start + HEAD.size)) >= 0:
        if _table_at(content, mark - HEAD.size)[0] is not None:
            return mark - HEAD.size
        start = mark - HEAD.size + 1
    return len(content)


def _age(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@contextmanager
def left_segments(folder: Path, most: int, tell: Callable[[OSError], None]) -> Iterator[list[Path]]:
    """Some segments that nobody holds, the oldest first, held during the block.

    One that the disk does not give stays, and keeps no other from being taken; `tell` is told.
    """
    found: list[tuple[Path, io.BufferedReader]] = []
    try:
        for path in sorted(folder.glob(f"[!.]*{ENDING}"), key=_age):
            if len(found) == most:
                break
            try:
                file = path.open("rb")
            except OSError as error:
                tell(error)
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
            else:
                found.append((path, file))
        yield [path for path, _ in found]
    finally:
        for _, file in found:
            file.close()
