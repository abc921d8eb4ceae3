"""Segments: what was appended is there, whatever happened to who appended it."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.serving.beside.segments import Segment, left_segments, read_segment
from tests.small import ROOT

FIRST, SECOND = pa.table({"source": ["a"], "row": [1]}), pa.table({"source": ["b", "c"], "row": [1, 2]})


def written(folder: Path) -> Path:
    segment = Segment(folder)
    segment.append([FIRST])
    segment.append([SECOND, FIRST])
    segment.close()
    (path,) = folder.iterdir()
    return path


def test_tables_come_back_in_order(tmp_path: Path) -> None:
    assert read_segment(written(tmp_path / "a" / "new")) == [FIRST, SECOND, FIRST]


def test_a_table_that_was_cut_off_does_not_count_at_any_length(tmp_path: Path) -> None:
    path = written(tmp_path / "a" / "new")
    whole = path.read_bytes()
    counts = []
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        counts.append(len(read_segment(path)))
    assert counts == sorted(counts)
    assert set(counts) == {0, 1, 2}


def test_a_damaged_table_does_not_count(tmp_path: Path) -> None:
    path = written(tmp_path / "a" / "new")
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    assert read_segment(path) == [FIRST, SECOND]


def test_a_segment_is_left_alone_as_long_as_somebody_appends_to_it(tmp_path: Path) -> None:
    segment = Segment(tmp_path / "a" / "new")
    segment.append([FIRST])
    with left_segments(tmp_path / "a" / "new", 10, pytest.fail) as found:
        assert found == []
    segment.close()
    with left_segments(tmp_path / "a" / "new", 10, pytest.fail) as found:
        assert [read_segment(path) for path in found] == [[FIRST]]


def test_a_segment_of_a_killed_process_is_left(tmp_path: Path) -> None:
    script = (
        "import os, pyarrow as pa, signal, sys; from pathlib import Path; from tasks.serving.beside.segments import *; "
        "s = Segment(Path(sys.argv[1])); s.append([pa.table({'source': ['a'], 'row': [1]})]); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a" / "new")], cwd=ROOT, check=False)
    with left_segments(tmp_path / "a" / "new", 10, pytest.fail) as found:
        assert [read_segment(path) for path in found] == [[FIRST]]


def test_what_can_not_be_opened_is_told_and_keeps_no_other_from_being_taken(tmp_path: Path) -> None:
    path, told = written(tmp_path / "new"), list[OSError]()
    (tmp_path / "new" / "gone.rows").symlink_to(tmp_path / "nowhere")
    with left_segments(tmp_path / "new", 10, told.append) as found:
        assert found == [path]
    assert [error.filename for error in told] == [str(tmp_path / "new" / "gone.rows")]


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("no folder")
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        Segment(tmp_path / "a" / "new")
