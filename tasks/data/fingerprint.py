"""What a file looked like when a run began, so that a later change is noticed."""

import hashlib
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from pyarrow import fs

from models.errors import InputError
from tasks.data.batches import SourceFile
from tasks.data.reach import is_away, outage

ENDS = 1 << 16
"""Bytes at both ends of a file that are looked at; a Parquet file has its statistics there."""


class ChangedError(InputError):
    """A source is other than when the run began, so that its rows can't be told from those that were done."""


def fingerprint(file: SourceFile) -> dict[str, Any]:
    """Size, time of the last change in nanoseconds, and a hash of both ends; of a folder a hash of its listing.

    Of an object in a store, its entity tag in place of the hash: it says more, and nothing has to be fetched.
    Of a query its words: its rows are compared with those that were pinned while they are read.
    Raises InputError where the file is gone, OutsideError where its store is.
    """
    if file.query:
        return file.query.asked()
    try:
        return _fingerprint(file)
    except OSError as error:
        if is_away(file.filesystem, file.path, error):
            raise outage(file.path, error) from None
        raise


def _fingerprint(file: SourceFile) -> dict[str, Any]:
    if file.format == "folder":
        return {"files": len(file.listed), "names": hashlib.sha256("\0".join(file.listed).encode()).hexdigest()}
    info = file.filesystem.get_file_info(file.path)
    if info.type != fs.FileType.File:
        raise InputError(f"{file.path}: the file is gone; it was there when the run began")
    with file.filesystem.open_input_file(file.path) as opened:
        tag = opened.metadata().get("ETag")
        contents = tag.decode() if tag else _hash_of_ends(opened, info.size)
    return {"size": info.size, "time": info.mtime_ns, "contents": contents}


def _hash_of_ends(opened: pa.NativeFile, size: int) -> str:
    ends = hashlib.sha256(opened.read(ENDS))
    if size > ENDS:
        opened.seek(max(ENDS, size - ENDS))
        ends.update(opened.read(ENDS))
    return ends.hexdigest()


def require_unchanged(file: SourceFile, before: Mapping[str, Any]) -> None:
    """Passes when the file looks as it did `before`. Raises ChangedError otherwise."""
    changed = [name for name, value in fingerprint(file).items() if value != before.get(name)]
    if changed:
        raise ChangedError(
            f"{file.path}: changed since the run began ({' and '.join(changed)}); put the old file back with its time, "
            "or start anew with --overwrite"
        )
