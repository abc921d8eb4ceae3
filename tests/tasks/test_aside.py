"""Folders to write aside in."""

import socket
import subprocess
import sys
from pathlib import Path

from tasks.aside import folder_aside, held, holder_of


def test_the_folder_is_there_in_the_block_and_gone_after_it(tmp_path: Path) -> None:
    with folder_aside(tmp_path / "parent", "out") as aside:
        assert aside.is_dir()
        assert aside.parent == tmp_path / "parent"
    assert list((tmp_path / "parent").iterdir()) == []


def test_what_a_dead_process_left_is_removed_and_what_a_living_one_writes_is_kept(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = tmp_path / f".out.{socket.gethostname()}.{ended.pid}.abc"
    elsewhere = tmp_path / f".out.another-machine.{ended.pid}.abc"
    other = tmp_path / f".other.{socket.gethostname()}.{ended.pid}.abc"
    for folder in (dead, elsewhere, other):
        folder.mkdir()
    with folder_aside(tmp_path, "out") as first, folder_aside(tmp_path, "out"):
        assert first.exists()
    assert sorted(tmp_path.iterdir()) == sorted([elsewhere, other])


def test_a_lock_tells_its_text_only_while_it_is_held(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert holder_of(lock) is None
    with held(lock, "first") as tell:
        assert holder_of(lock) == "first"
        tell("second")
        assert holder_of(lock) == "second"
    assert holder_of(lock) is None


def test_what_a_killed_process_wrote_into_a_lock_is_not_told(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    program = (
        "import os, sys; from pathlib import Path; from tasks.aside import held\n"
        "with held(Path(sys.argv[1]), 'killed'): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(lock)], cwd=Path(__file__).parents[2])
    assert lock.read_text() == "killed"
    assert holder_of(lock) is None
