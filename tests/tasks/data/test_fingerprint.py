"""What is remembered of a source, so that a later change is noticed."""

import os
from pathlib import Path

import pytest
from pyarrow import fs

from tasks.data.fingerprint import ChangedError, fingerprint, require_unchanged
from tasks.data.sources import resolve
from tests.servers import Address


def test_a_change_of_the_same_size_and_time_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"a\n1\n")
    (file,) = resolve(str(path))
    before, times = fingerprint(file), (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    require_unchanged(file, before)
    path.write_bytes(b"a\n2\n")
    os.utime(path, ns=times)
    with pytest.raises(ChangedError, match=r"changed since the run began \(contents\); put the old file back"):
        require_unchanged(file, before)


def test_of_an_object_the_store_tells_without_a_byte_being_fetched(s3: Address) -> None:
    store, path = fs.FileSystem.from_uri(s3("rows.csv"))
    put(store, path, b"a\n1\n")
    (file,) = resolve(s3("rows.csv"))
    before = fingerprint(file)
    assert before["contents"] == store.open_input_file(path).metadata()["ETag"].decode() != ""
    require_unchanged(file, before)
    put(store, path, b"a\n2\n")
    with pytest.raises(ChangedError, match=r"changed since the run began \(.*contents\)"):
        require_unchanged(file, before)


def put(store: fs.FileSystem, path: str, content: bytes) -> None:
    with store.open_output_stream(path) as stream:
        stream.write(content)
