"""A file is hashed while it grows, whatever the moments at which the follower looks."""

import hashlib
import os
from pathlib import Path

import pytest

from tasks.scoring.follower import Follower


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
    follower.close()
