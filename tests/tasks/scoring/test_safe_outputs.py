"""What may not happen to files around a scoring run: lost, mixed up, read twice, or half readable."""

import fcntl
import os
import shutil
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from models.errors import InputError, OutsideError
from tasks.aside import HeldError, held
from tasks.progress import progress
from tasks.scoring import claim, store
from tasks.scoring.claim import claimed, require_claimable
from tasks.scoring.destination import destination
from tasks.scoring.outputs import problems_of
from tasks.scoring.predictor import Predictor
from tasks.scoring.score import Scores, score_files
from tasks.scoring.steps import progress_text
from tests.conftest import Small
from tests.tasks.scoring.scored_files import STAMP, Run, left, new_rows, only

FORMS = ("out", "out.csv", "out.parquet")
APART = [5, pytest.param(1, marks=pytest.mark.soak)]
"""Steps from one kill to the next."""


def test_a_folder_with_other_files_is_refused_and_stays(run: Run, rows_csv: Path, tmp_path: Path) -> None:
    run(rows_csv)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(InputError, match=r"out: holds 'notes\.txt', which is no output of scoring"):
            run(rows_csv, overwrite=overwrite)
        with pytest.raises(InputError, match=r"notes\.txt"):
            require_claimable(destination(tmp_path / "out"), overwrite)
    assert left(tmp_path / "out") == {"notes.txt", "predictions", "rejects", "manifest.json"}


def test_overwriting_replaces_the_files_and_not_the_folder(run: Run, rows_csv: Path, tmp_path: Path) -> None:
    run(rows_csv)
    before = (tmp_path / "out").stat().st_ino
    run(rows_csv, overwrite=True, keep=[])
    assert (tmp_path / "out").stat().st_ino == before
    assert "id" not in pd.read_parquet(tmp_path / "out" / "predictions").columns
    assert left(tmp_path / "out") == {"predictions", "rejects", "manifest.json"}


def test_an_empty_folder_may_be_filled(run: Run, rows_csv: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    before = (tmp_path / "out").stat().st_ino
    run(rows_csv)
    assert (tmp_path / "out").stat().st_ino == before
    assert len(pd.read_parquet(tmp_path / "out" / "predictions")) == 198


@pytest.mark.parametrize("name", ["out.csv", "out"])
def test_the_other_kind_of_thing_in_the_place_is_refused(run: Run, rows_csv: Path, tmp_path: Path, name: str) -> None:
    if name == "out":
        (tmp_path / name).write_text("a file")
    else:
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name}: (is a file|a folder stands)"):
        run(rows_csv, output=name, overwrite=True)


WHAT = ("predictions", "rejects")
Frames = dict[str, pd.DataFrame]


def read(output: Path) -> Frames:
    """What there is of predictions and rejects, without the id of the run."""
    wanted = destination(output)
    reader = pd.read_csv if output.suffix == ".csv" else pd.read_parquet
    places = {"predictions": wanted.predictions, "rejects": wanted.rejects}
    return {
        what: reader(path).drop(columns="run_id", errors="ignore") for what, path in places.items() if path.exists()
    }


def same_frame(one: Frames, other: Frames, what: str) -> bool:
    return (what in one) == (what in other) and (what not in one or one[what].equals(other[what]))


def same(one: Frames, other: Frames) -> bool:
    return all(same_frame(one, other, what) for what in WHAT)


def hidden(output: Path) -> list[Path]:
    """What a run has left to itself around its output."""
    return list(output.parent.rglob(".*"))


def killed_at(step: int, score: Callable[[], Any]) -> bool:
    """Runs `score` in a process that is killed before its `step`th change of the disk; whether it came so far."""
    child = os.fork()
    if not child:
        try:
            left_to_do = iter(range(step))

            def counted(real: Callable[..., Any]) -> Callable[..., Any]:
                def call(*args: Any, **more: Any) -> Any:
                    if next(left_to_do, None) is None:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return real(*args, **more)

                return call

            Path.replace, Path.rename = counted(Path.replace), counted(Path.rename)  # type: ignore[method-assign]
            Path.unlink, os.rmdir = counted(Path.unlink), counted(os.rmdir)  # type: ignore[method-assign]
            store.flush_to_disk = claim.flush_to_disk = counted(store.flush_to_disk)
            score()
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("apart", APART)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("old", [False, True])
def test_killed_at_any_step_nothing_is_lost_or_done_twice_and_the_rerun_completes(
    small: Small, tmp_path: Path, form: str, old: bool, apart: int
) -> None:
    predictor = Predictor.load(small.downloaded)
    rows = new_rows(100).assign(load=lambda frame: frame["load"].where(frame["id"] % 25 != 7, 1000))
    rows.to_parquet(tmp_path / "in.parquet", row_group_size=80)
    new_rows(30, seed=9).to_parquet(tmp_path / "before.parquet")

    def score(output: Path, what: str = "in.parquet", **more: Any) -> Scores:
        return score_files(predictor, [str(tmp_path / what)], output, STAMP, shard_rows=60, **more)

    score(tmp_path / "whole" / form)
    score(tmp_path / "before" / form, "before.parquet")
    whole, before = read(tmp_path / "whole" / form), read(tmp_path / "before" / form) if old else {}
    for step in range(0, 200, apart):
        output = tmp_path / str(step) / form
        if old:
            shutil.copytree(tmp_path / "before", output.parent)
        if not killed_at(step, lambda output=output: score(output, overwrite=old)):  # type: ignore[misc]
            break
        seen = read(output)
        # What is replaced changes one after the other; of a folder that is there, each is gone for a moment.
        assert all(
            same_frame(seen, before, what) or same_frame(seen, whole, what) or (old and what not in seen)
            for what in WHAT
        )
        if not old and same(seen, whole) and not destination(output).output.with_name(f".{form}.partial").exists():
            with pytest.raises(InputError, match="exists already"):
                score(output)
        else:
            assert (done := score(output, overwrite=old)).rows == 100 and done.rejected == 4
        assert same(read(output), whole), step
        assert not hidden(output), step
    assert step >= 30
    assert same(read(output), whole)


@pytest.mark.parametrize("apart", APART)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("old", [False, True])
def test_overwriting_a_run_that_was_killed_at_any_step_gives_the_new_rows(
    small: Small, tmp_path: Path, form: str, old: bool, apart: int
) -> None:
    predictor = Predictor.load(small.downloaded)
    new_rows(60).to_parquet(tmp_path / "killed.parquet", row_group_size=30)
    new_rows(20, seed=9).to_parquet(tmp_path / "new.parquet")

    def score(output: Path, what: str, overwrite: bool = True) -> Scores:
        given = [str(tmp_path / f"{what}.parquet")]
        return score_files(predictor, given, output, STAMP, shard_rows=30, overwrite=overwrite)

    score(tmp_path / "whole" / form, "new")
    score(tmp_path / "before" / form, "killed")
    for step in range(0, 200, apart):
        output = tmp_path / str(step) / form
        if old:
            shutil.copytree(tmp_path / "before", output.parent)
        if not killed_at(step, lambda output=output: score(output, "killed", old)):  # type: ignore[misc]
            break
        score(output, "new")
        assert same(read(output), read(tmp_path / "whole" / form)), step
        assert problems_of(str(output)) == [] and not hidden(output), step
    assert step >= 20


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".csv", "x" * 240 + ".csv", "é" * 130 + ".jsonl"])
def test_a_name_that_is_too_long_is_a_plain_line(run: Run, rows_csv: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"\.\.\.: the name is too long for the file system") as refused:
        run(rows_csv, output=name)
    assert len(str(refused.value)) < 300 and "\n" not in str(refused.value)
    if len(name) > 255:
        with pytest.raises(InputError, match="too long"):
            require_claimable(destination(tmp_path / name), False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_second_run_into_one_output_is_refused_with_the_first_ones_id(
    run: Run, rows_csv: Path, tmp_path: Path, overwrite: bool
) -> None:
    def second(_: int) -> None:
        with pytest.raises(OutsideError, match=r"out\.csv: run run-1 writes to it now"):
            run(rows_csv, output="out.csv", overwrite=overwrite)

    with claimed(destination(tmp_path / "out.csv"), overwrite), pytest.raises(OutsideError, match=r"process \d+ on "):
        run(rows_csv, output="out.csv")
    run(rows_csv, output="out.csv", overwrite=overwrite, on_rows=second)
    assert not [name for name in left(tmp_path) if name.startswith(".")]


def test_what_appears_during_the_run_is_not_replaced(run: Run, rows_csv: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists already"):
        run(rows_csv, output="out.csv", on_rows=lambda _: (tmp_path / "out.csv").write_text("somebody's"))
    assert (tmp_path / "out.csv").read_text() == "somebody's"
    assert only(tmp_path / ".out.csv.partial" / "out" / "predictions").suffix == ".csv"


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
    assert progress_text(3000, None, True, 2.0) == "3,000 rows  1,500 rows/s"
    assert progress_text(3000, 10_000, False, 0.5) == "3,000 of 10,000 rows  6,000 rows/s"
    assert progress_text(3000, 10_000, True, 0.5) == "3,000 of about 10,000 rows  6,000 rows/s"


@pytest.mark.parametrize(("total", "shown"), [(3, True), (None, False)])
def test_the_time_left_is_shown_where_the_total_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], total: int | None, shown: bool
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    with progress("working", total, time_left=True) as advance:
        advance(2, "two")
    assert (" left" in capsys.readouterr().err) is shown
