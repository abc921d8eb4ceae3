"""What may not happen to files around a scoring run: lost, mixed up, read twice, or half readable."""

import fcntl
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import InputError, OutsideError
from tasks.aside import HeldError, held
from tasks.data import jsonlines
from tasks.data.batches import SourceFile
from tasks.data.rejects import SCHEMA
from tasks.data.sources import resolve
from tasks.progress import progress
from tasks.registry.versions import find_version
from tasks.scoring import inputs as inputs_module
from tasks.scoring.inputs import count_rows
from tasks.scoring.predictor import Predictor
from tasks.scoring.score import Scores, Stamp, score_files
from tasks.scoring.sinks import Destination, destination, open_writer, require_free, written_aside
from tasks.scoring.steps import progress_text, score_inputs
from tests.conftest import Small
from tests.small import ROOT, table

Run = Callable[..., Scores]
FORMS = ("out", "out.csv")
KILLED = """
import os, signal, sys
from pathlib import Path
from tasks.scoring import sinks
from tests.tasks.scoring.test_safe_outputs import write_rejects

wanted, step, overwrite = sinks.destination(Path(sys.argv[1])), int(sys.argv[2]), sys.argv[3] == "True"
steps = 0

def counted(real):
    def call(*args):
        global steps
        if steps == step:
            os.kill(os.getpid(), signal.SIGKILL)
        steps += 1
        return real(*args)
    return call

Path.replace, Path.rename = counted(Path.replace), counted(Path.rename)
sinks._flush_to_disk = counted(sinks._flush_to_disk)
with sinks.written_aside(wanted, overwrite, "killed") as hidden:
    write_rejects(hidden, "new rejects")
    hidden.predictions.write_text("new predictions")
"""


@pytest.fixture(scope="module")
def predictor(small: Small) -> Predictor:
    return Predictor.load(small.downloaded)


@pytest.fixture
def run(predictor: Predictor, tmp_path: Path) -> Run:
    """Scores inputs into `tmp_path/out`."""

    def with_inputs(*inputs: Path | str, output: str = "out", **more: Any) -> Scores:
        stamp = Stamp("small", "1", "run-1")
        return score_files(predictor, [str(path) for path in inputs], tmp_path / output, stamp, **more)

    return with_inputs


def rows(count: int = 6, **more: Any) -> pd.DataFrame:
    return table(count, seed=5).drop(columns="broken").assign(**more)


def write_lines(path: Path, frame: pd.DataFrame, **columns: list[Any]) -> Path:
    """JSON lines of the frame with further columns in Python's own types."""
    records = json.loads(frame.to_json(orient="records"))
    extra = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    path.write_text("".join(json.dumps(a | b) + "\n" for a, b in zip(records, extra, strict=True)))
    return path


def write_rejects(wanted: Destination, text: str) -> None:
    """Rejects as scoring writes them, of one row."""
    writer = open_writer(wanted.rejects, SCHEMA, wanted.format)
    row = {"source": "in", "row": 1, "column": "c", "reason": text, "values": "{}"}
    writer.write_table(pa.Table.from_pylist([row], schema=SCHEMA))
    writer.close()


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
    for step in range(20):
        output = tmp_path / str(step) / form
        if old:
            write_output(output, "old")
        done = subprocess.run([sys.executable, "-c", KILLED, str(output), str(step), str(old)], cwd=ROOT)
        predictions, rejects = contents(output)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        assert predictions in (("old predictions", "new predictions") if old else (None, "new predictions"))
        assert rejects in ("old rejects", "new rejects") if old or predictions else True
        if old or predictions is None:
            write_output(output, "again", overwrite=old)
            assert contents(output) == ("again predictions", "again rejects")
            assert not list(output.parent.rglob(".*"))
    assert step >= 5
    assert (predictions, rejects) == ("new predictions", "new rejects")


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


def test_a_file_that_two_inputs_reach_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    rows().to_csv(tmp_path / "in" / "a.csv", index=False)
    (tmp_path / "link.csv").symlink_to(tmp_path / "in" / "a.csv")
    for second in (tmp_path / "in" / "a.csv", tmp_path / "in" / "*.csv", tmp_path / "link.csv", tmp_path / "in"):
        with pytest.raises(InputError) as refused:
            run(tmp_path / "in", second)
        assert f"belongs to two inputs, {tmp_path / 'in'} and {second}" in str(refused.value)
        assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["in.csv", "in.rejects.csv"])
def test_an_output_that_is_an_input_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    rows().to_csv(tmp_path / name, index=False)
    before = (tmp_path / name).read_bytes()
    with pytest.raises(InputError, match=f"{name}: is an input .* would be replaced"):
        run(tmp_path / name, output="in.csv", overwrite=True)
    assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize("output", ["in/out", "in/deep/out.csv", "in"])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_an_output_inside_an_input_folder_is_refused(run: Run, tmp_path: Path, output: str, scheme: str) -> None:
    (tmp_path / "in").mkdir()
    rows().to_csv(tmp_path / "in" / "a.csv", index=False)
    with pytest.raises(InputError, match=f"{output}: lies in the input folder"):
        run(f"{scheme}{tmp_path / 'in'}", output=output)
    assert [p.name for p in (tmp_path / "in").iterdir()] == ["a.csv"]


KEYS = [2**60 + 1, 2**60 + 2, 3, 4, 5, 2**60 + 3]
CHANGING: dict[str, tuple[list[Any], list[Any], list[Any]]] = {
    "numbers": ([1, 2, 3, 4, 5, 1.5],) * 3,
    "late text": ([None] * 5 + ["late"],) * 3,
    "late number": ([None] * 5 + [7], [None] * 5 + [7], [None] * 5 + ["7"]),
    "text first": (["a", "b", "c", "d", "e", 1], [*"abcde", "1"], [*"abcde", "1"]),
    "long keys": (KEYS, KEYS, [str(key) for key in KEYS]),
}
"""What a column holds, and how it is written from a file that is looked through whole and from one that is not."""


@pytest.mark.parametrize("looked_through", [True, False])
@pytest.mark.parametrize("case", CHANGING)
def test_json_columns_may_change_their_type_on_the_way(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, looked_through: bool
) -> None:
    monkeypatch.setattr(jsonlines, "CHUNK", 300)
    monkeypatch.setattr(inputs_module, "SMALL", inputs_module.SMALL if looked_through else 0)
    given, whole, first = CHANGING[case]
    done = run(write_lines(tmp_path / "in.jsonl", rows(), extra=given))
    assert pq.read_table(done.predictions)["extra"].to_pylist() == (whole if looked_through else first)


def test_whole_numbers_of_a_small_json_file_stay_whole(run: Run, tmp_path: Path) -> None:
    done = run(write_lines(tmp_path / "in.jsonl", rows(), extra=[1, 2, 3, 4, 5, None]), output="out.csv")
    assert pd.read_csv(done.predictions, dtype=str)["extra"].tolist()[:5] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("given", [[1, 2, 3, 4, 5, "x"], [True] * 5 + [2], [1, 2, 3, 4, 5, 2**60 + 1]])
def test_a_type_that_cannot_be_reconciled_is_a_plain_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[Any]
) -> None:
    monkeypatch.setattr(jsonlines, "CHUNK", 300)
    monkeypatch.setattr(inputs_module, "SMALL", 0)
    path = write_lines(tmp_path / "in.jsonl", rows(), extra=given)
    with pytest.raises(InputError, match=r"in\.jsonl: column 'extra' holds .* --keep") as refused:
        run(path)
    assert "\n" not in str(refused.value)
    assert {p.name for p in tmp_path.iterdir()} == {"in.jsonl"}
    assert run(path, keep=["id"]).scored == 6


NESTED = {
    "list": pa.array([[1, 2]] * 6),
    "struct": pa.array([{"a": 1}] * 6),
    "map": pa.array([[("a", 1)]] * 6, pa.map_(pa.string(), pa.int64())),
    "binary": pa.array([b"\xff"] * 6),
    "struct of binary": pa.array([{"a": b"\xff"}] * 6),
}


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("kind", NESTED)
def test_columns_that_the_format_cannot_hold_are_refused_before_the_start(
    run: Run, tmp_path: Path, suffix: str, kind: str
) -> None:
    given = pa.Table.from_pandas(rows()).append_column("extra", NESTED[kind])
    pq.write_table(given, tmp_path / "in.parquet")
    started: list[int] = []
    if suffix == "parquet" or (suffix == "jsonl" and "binary" not in kind):
        assert run(tmp_path / "in.parquet", output=f"out.{suffix}").scored == 6
    else:
        with pytest.raises(InputError, match=rf"column 'extra' holds .* which \.{suffix} can't; .* --keep"):
            run(tmp_path / "in.parquet", output=f"out.{suffix}", on_rows=started.append)
        assert not started and not (tmp_path / f"out.{suffix}").exists()
        assert run(tmp_path / "in.parquet", output=f"out.{suffix}", keep=["id"]).scored == 6


def test_rows_are_known_only_where_every_file_states_them(tmp_path: Path) -> None:
    rows(4).to_parquet(tmp_path / "a.parquet")
    rows(3).to_parquet(tmp_path / "b.parquet")
    rows(3).to_csv(tmp_path / "c.csv", index=False)
    assert count_rows(resolve(str(tmp_path / "*.parquet"))) == 7
    assert count_rows([*resolve(str(tmp_path / "*.parquet")), *resolve(str(tmp_path / "c.csv"))]) is None


def test_inputs_are_listed_once(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []

    def noted(uri: str) -> tuple[SourceFile, ...]:
        listed.append(uri)
        return resolve(uri)

    monkeypatch.setattr(inputs_module, "resolve", noted)
    inputs = [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]
    rows(4).to_parquet(inputs[0])
    rows(3).to_parquet(inputs[1])
    done = score_inputs.fn(find_version("small", "1"), inputs, tmp_path / "out", "r", None, False)
    assert (done.rows, listed) == (7, inputs)


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
