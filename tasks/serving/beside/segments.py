"""Rows that are on the disk before anybody is told of them: small tables appended to files, one sync for all at once.

A file is held by the process that appends to it. Once nobody holds it, because it was closed or its process was killed,
what is whole in it may be taken.
"""

import fcntl
import io
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from tasks.aside import flush_to_disk

ENDING = ".rows"
HEAD = struct.Struct("<II")
"""Bytes of the table behind it, and their CRC-32."""


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
        written = 0
        while written < len(content):
            written += self._file.write(memoryview(content)[written:]) or 0
        os.fdatasync(self._file.fileno())

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
    """The tables that are whole; nobody was told of what is behind them."""
    content, tables, start = path.read_bytes(), [], 0
    while start + HEAD.size <= len(content):
        length, checksum = HEAD.unpack_from(content, start)
        start += HEAD.size
        piece = content[start : start + length]
        if len(piece) < length or zlib.crc32(piece) != checksum:
            break
        tables.append(pa.ipc.open_stream(piece).read_all())
        start += length
    return tables


@contextmanager
def left_segments(folder: Path, most: int) -> Iterator[list[Path]]:
    """Some segments that nobody holds, the oldest first, held during the block."""
    found: list[tuple[Path, io.BufferedReader]] = []
    try:
        for path in sorted(folder.glob(f"[!.]*{ENDING}"), key=lambda path: path.stat().st_mtime_ns):
            if len(found) == most:
                break
            file = path.open("rb")
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
