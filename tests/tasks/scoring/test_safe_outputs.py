"""What may not happen to files around a scoring run: lost, mixed up, read twice, or half readable."""

import fcntl
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from models.errors import InputError, OutsideError
from tasks.aside import HeldError, held
from tasks.progress import progress
from tasks.scoring.sinks import Destination, destination, require_free, written_aside
from tasks.scoring.steps import progress_text
from tests.small import ROOT
from tests.tasks.scoring.scored_files import Run, write_rejects

FORMS = ("out", "out.csv")


STEPS = 20
KILLED = """
import os, signal, sys
from pathlib import Path
from tasks.scoring import sinks
from tests.tasks.scoring.scored_files import write_rejects

folder, form, overwrite, steps = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "True", int(sys.argv[4])
done = 0

def killing(real, step):
    def call(*args):
        global done
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        return real(*args)
    return call

def write(step):
    Path.replace, Path.rename = killing(Path.replace, step), killing(Path.rename, step)
    sinks._flush_to_disk = killing(sinks._flush_to_disk, step)
    with sinks.written_aside(sinks.destination(folder / str(step) / form), overwrite, "killed") as hidden:
        write_rejects(hidden, "new rejects")
        hidden.predictions.write_text("new predictions")

# Each step is a process of its own, which has nothing to import.
for step in range(steps):
    if (process := os.fork()) == 0:
        write(step)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    print(status)
    if status == 0:
        break
"""


def read_rejects(wanted: Destination) -> str | None:
    """The text that `write_rejects` wrote."""
    if not wanted.rejects.exists():
        return None
    frame = (pd.read_csv if wanted.format == "csv" else pd.read_parquet)(wanted.rejects)
    return str(frame["reason"][0])


def write_output(output: Path, text: str, run_id: str = "r", overwrite: bool = False) -> None:
    with written_aside(destination(output), overwrite, run_id) as hidden:
        hidden.predictions.write_text(f"{text} predictions")
        write_rejects(hidden, f"{text} rejects")


def contents(output: Path) -> tuple[str | None, str | None]:
    wanted = destination(output)
    return wanted.predictions.read_text() if wanted.predictions.exists() else None, read_rejects(wanted)


def test_a_folder_with_other_files_is_refused_and_stays(run: Run, rows_csv: Path, tmp_path: Path) -> None:
    run(rows_csv)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(InputError, match=r"out: holds 'notes\.txt', which is no output of scoring"):
            run(rows_csv, overwrite=overwrite)
        with pytest.raises(InputError, match=r"notes\.txt"):
            require_free(destination(tmp_path / "out"), overwrite)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"notes.txt", "predictions.parquet", "rejects.parquet"}


def test_overwriting_replaces_the_files_and_not_the_folder(tmp_path: Path) -> None:
    write_output(tmp_path / "out", "old")
    before = (tmp_path / "out").stat().st_ino
    write_output(tmp_path / "out", "new", overwrite=True)
    assert contents(tmp_path / "out") == ("new predictions", "new rejects")
    assert (tmp_path / "out").stat().st_ino == before
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_output(tmp_path / "out", "new")
    assert contents(tmp_path / "out") == ("new predictions", "new rejects")


@pytest.mark.parametrize("name", ["out.csv", "out"])
def test_the_other_kind_of_thing_in_the_place_is_refused(tmp_path: Path, name: str) -> None:
    if name == "out":
        (tmp_path / name).write_text("a file")
    else:
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name}: (is a file|a folder stands)"):
        write_output(tmp_path / name, "new", overwrite=True)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("old", [False, True])
def test_killed_at_any_step_nothing_is_lost_and_the_rerun_completes(tmp_path: Path, form: str, old: bool) -> None:
    for step in range(STEPS if old else 0):
        write_output(tmp_path / str(step) / form, "old")
    line = [sys.executable, "-c", KILLED, str(tmp_path), form, str(old), str(STEPS)]
    ends = subprocess.run(line, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert ends == [str(-signal.SIGKILL)] * (len(ends) - 1) + ["0"]
    assert len(ends) > 5
    for step in range(len(ends) - 1):
        output = tmp_path / str(step) / form
        predictions, rejects = contents(output)
        assert predictions in (("old predictions", "new predictions") if old else (None, "new predictions"))
        assert rejects in ("old rejects", "new rejects") if old or predictions else True
        if old or predictions is None:
            write_output(output, "again", overwrite=old)
            assert contents(output) == ("again predictions", "again rejects")
            assert not list(output.parent.rglob(".*"))
    assert contents(tmp_path / str(len(ends) - 1) / form) == ("new predictions", "new rejects")


@pytest.mark.parametrize("form", FORMS)
def test_rejects_alone_are_an_unfinished_run(tmp_path: Path, form: str) -> None:
    wanted = destination(tmp_path / form)
    wanted.rejects.parent.mkdir(exist_ok=True)
    write_rejects(wanted, "left")
    write_output(tmp_path / form, "new")
    assert contents(tmp_path / form) == ("new predictions", "new rejects")


@pytest.mark.parametrize("form", [*FORMS, "out.jsonl"])
@pytest.mark.parametrize("whose", ["", "mine\n1\n", '{"mine": 1}\n', "1\n", "\n"])
def test_rejects_that_scoring_did_not_write_stay(tmp_path: Path, form: str, whose: str) -> None:
    wanted = destination(tmp_path / form)
    wanted.rejects.parent.mkdir(exist_ok=True)
    wanted.rejects.write_text(whose)
    if not whose and form == "out.jsonl":
        require_free(wanted, False)
        return
    with pytest.raises(InputError, match=rf"{wanted.rejects.name}: exists already, and no scoring run wrote it"):
        write_output(tmp_path / form, "new")
    assert wanted.rejects.read_text() == whose
    require_free(wanted, True)


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".csv", "x" * 240 + ".csv", "é" * 130 + ".jsonl"])
def test_a_name_that_is_too_long_is_a_plain_line(run: Run, rows_csv: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"\.\.\.: the name is too long for the file system") as refused:
        run(rows_csv, output=name)
    assert len(str(refused.value)) < 300 and "\n" not in str(refused.value)
    if len(name) > 255:
        with pytest.raises(InputError, match="too long"):
            require_free(destination(tmp_path / name), False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_second_run_into_one_output_is_refused_with_the_first_ones_id(tmp_path: Path, overwrite: bool) -> None:
    with written_aside(destination(tmp_path / "out.csv"), overwrite, "first-run") as hidden:
        with pytest.raises(OutsideError, match=r"out\.csv: run first-run writes to it now"):
            write_output(tmp_path / "out.csv", "second", "second-run", overwrite)
        write_output(tmp_path / "other.csv", "other")
        hidden.predictions.write_text("first predictions")
        write_rejects(hidden, "first rejects")
    assert contents(tmp_path / "out.csv") == ("first predictions", "first rejects")
    write_output(tmp_path / "out.csv", "third", overwrite=True)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_appears_during_the_run_is_not_replaced(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="exists already"),
        written_aside(destination(tmp_path / "out.csv"), False, "r") as hidden,
    ):
        hidden.predictions.write_text("new")
        hidden.rejects.write_text("new")
        (tmp_path / "out.csv").write_text("somebody's")
    assert (tmp_path / "out.csv").read_text() == "somebody's"


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder removes the file between another's opening and locking it: that lock is worth nothing."""
    path, real, calls = tmp_path / "lock", fcntl.flock, 0

    def removed_first(file: Any, how: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            path.unlink()
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    with held(path, "me"):
        assert path.read_text() == "me"
        with pytest.raises(HeldError, match="me"), held(path, "you"):
            pass
    assert not path.exists()


def test_the_bar_tells_rows_per_second_and_the_total_where_known() -> None:
    assert progress_text(3000, None, 2.0) == "3,000 rows  1,500 rows/s"
    assert progress_text(3000, 10_000, 0.5) == "3,000 of 10,000 rows  6,000 rows/s"


@pytest.mark.parametrize(("total", "shown"), [(3, True), (None, False)])
def test_the_time_left_is_shown_where_the_total_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], total: int | None, shown: bool
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    with progress("working", total, time_left=True) as advance:
        advance(2, "two")
    assert (" left" in capsys.readouterr().err) is shown
