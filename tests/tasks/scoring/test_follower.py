"""A file is hashed while it grows, whatever the moments at which the follower looks."""

import hashlib
import os
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import fs

from models.errors import OutsideError
from tasks.scoring.follower import Follower, Upload


def test_the_hash_is_that_of_the_finished_file(tmp_path: Path) -> None:
    path = tmp_path / "grows"
    with path.open("wb") as file:
        follower = Follower(path)
        for size in (0, 1, 3_000_000, 17):
            file.write(os.urandom(size))
            file.flush()
            follower.follow()
        file.write(b"not followed")
    assert follower.finish() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_disk_that_has_refused_once_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([OSError(28, "No space left on device"), None])

    def sync(_: int) -> None:
        answer = next(answers)
        if answer:
            raise answer

    monkeypatch.setattr("os.fdatasync", sync)
    (tmp_path / "file").write_bytes(b"rows")
    follower = Follower(tmp_path / "file")
    follower.follow()
    with pytest.raises(OSError, match="No space left"):
        follower.finish()
    follower.discard()


class Flaky:
    """A folder that stops taking bytes after some."""

    def __init__(self, folder: Path, takes: int) -> None:
        self.folder, self.left = fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem()), takes
        self.opened: list[pa.NativeFile] = []

    def open_output_stream(self, path: str) -> "Flaky.Stream":
        self.opened.append(self.folder.open_output_stream(path))
        return Flaky.Stream(self, self.opened[-1])

    def delete_file(self, path: str) -> None:
        self.folder.delete_file(path)

    class Stream:
        def __init__(self, store: "Flaky", stream: pa.NativeFile) -> None:
            self.store, self.stream, self.close = store, stream, stream.close

        def write(self, some: bytes) -> None:
            self.store.left -= len(some)
            if self.store.left < 0:
                raise OSError("AWS Error: away")
            self.stream.write(some)


@pytest.mark.parametrize(("takes", "arrived"), [(100, True), (3, False), (0, False)])
def test_an_upload_has_arrived_when_all_of_it_was_taken(tmp_path: Path, takes: int, arrived: bool) -> None:
    (tmp_path / "made").write_bytes(b"rows of a shard")
    follower = Follower(tmp_path / "made", Upload(Flaky(tmp_path, takes), "object"))
    follower.follow()
    assert follower.finish() == hashlib.sha256(b"rows of a shard").hexdigest()
    assert follower.arrived == arrived
    assert not arrived or (tmp_path / "object").read_bytes() == b"rows of a shard"


def test_an_upload_is_not_completed_when_it_may_not_be(tmp_path: Path) -> None:
    def watch() -> None:
        if not next(answers):
            raise OutsideError("another run took it over")

    answers = iter([True, False, False])
    (tmp_path / "made").write_bytes(b"rows of a shard")
    store = Flaky(tmp_path, 100)
    follower = Follower(tmp_path / "made", Upload(store, "object", watch))
    with pytest.raises(OutsideError, match="took it over"):
        follower.finish()
    follower.discard()
    assert [stream.closed for stream in store.opened] == [False] and (tmp_path / "object").exists()


def test_nothing_stays_of_what_was_given_up(tmp_path: Path) -> None:
    (tmp_path / "made").write_bytes(b"rows of a shard")
    follower = Follower(tmp_path / "made", Upload(Flaky(tmp_path, 100), "object"))
    follower.follow()
    follower.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
