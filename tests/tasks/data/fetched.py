"""What paths lead to, for tests."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import fs

from models.columns import KINDS
from tasks.data.batches import RawBatch, SourceFile
from tasks.data.contents import with_contents

IMAGE = KINDS["image"].settings(size=8)


ABSENT, OUTSIDE, UNREADABLE, NO_FILE = "no such file", "outside the folder", "the file can't be read", "not a file"


def put(path: Path, content: bytes = b"content") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def fetched(folder: Path, *paths: str | None) -> list[bytes | str | None]:
    """For each path its content, or the reason why there is none."""
    batches = iter([batch(pa.array(paths, pa.string()))])
    pieces = with_contents(batches, table_file(folder), {"p": IMAGE}, ("?",))
    found = [cell for piece in pieces for cell in piece.gathered["p"].to_pylist()]
    assert all(cell["content"] is None or cell["failure"] is None for cell in found)
    return [cell["content"] if cell["failure"] is None else cell["failure"] for cell in found]


def table_file(folder: Path) -> SourceFile:
    return SourceFile("in", str(folder / "in.csv"), fs.LocalFileSystem(), "csv", {}, 1)


def batch(paths: pa.Array, start: int = 1, **more: object) -> RawBatch:
    rows = np.arange(start, start + len(paths), dtype=np.int64)
    return RawBatch("in.csv", rows, pa.table({"p": paths, "n": rows}), **more)  # type: ignore[arg-type]
