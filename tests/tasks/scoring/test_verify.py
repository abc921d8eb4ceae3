"""An output is whole, or what is wrong with it is told."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from models.errors import InputError
from tasks.scoring.outputs import manifest_of, problems_of
from tests.tasks.scoring.scored_files import Run, only


@pytest.mark.parametrize("form", ["out", "out.csv", "out.csv.gz", "out.parquet", "out.jsonl", "out.feather"])
def test_an_output_is_whole_when_it_is_written(run: Run, rows_csv: Path, tmp_path: Path, form: str) -> None:
    run(rows_csv, output=form, shard_rows=70)
    assert problems_of(str(tmp_path / form)) == []
    told = manifest_of(str(tmp_path / form))
    assert (told["rows"], told["scored"], told["rejected"], sum(told["reasons"].values())) == (200, 198, 2, 2)
    assert len(told["files"]) == (4 if form == "out" else 2)
    assert (told["model"], told["version"], told["run_id"]) == ("small", "1", "run-1")


def flip_a_byte(out: Path) -> None:
    path = only(out / "rejects")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def change_a_count(out: Path) -> None:
    manifest = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(json.dumps({**manifest, "scored": manifest["scored"] - 1}))


def test_outputs_that_differ_in_their_suffix_are_told_apart(run: Run, rows_csv: Path, tmp_path: Path) -> None:
    forms = ("out.csv", "out.csv.gz", "out.parquet", "out.jsonl")
    for form in forms:
        run(rows_csv, output=form)
    (tmp_path / "out.csv").write_text("changed")
    assert {form: bool(problems_of(str(tmp_path / form))) for form in forms} == {
        form: form == "out.csv" for form in forms
    }


def test_a_manifest_that_tells_of_another_file_proves_nothing(run: Run, rows_csv: Path, tmp_path: Path) -> None:
    run(rows_csv, output="out.csv")
    (tmp_path / "copy.csv").write_text("mine")
    (tmp_path / "copy.csv.manifest.json").write_bytes((tmp_path / "out.csv.manifest.json").read_bytes())
    assert problems_of(str(tmp_path / "copy.csv")) == [
        f"{tmp_path}/copy.csv.manifest.json: tells of out.csv, out.rejects.csv, not of copy.csv, copy.rejects.csv"
    ]


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda out: only(out / "rejects").unlink(), r"part-000000-000000\.parquet: missing; it held 2 rows"),
    "changed": (flip_a_byte, "changed since it was written"),
    "shorter": (lambda out: only(out / "rejects").write_bytes(b"PAR1"), "changed since it was written"),
    "more": (lambda out: (out / "predictions" / "mine.parquet").write_text(""), r"mine\.parquet: no part of the run"),
    "counts": (change_a_count, "200 rows were read, but 197 scored and 2 rejected"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_wrong_with_an_output_is_told(run: Run, rows_csv: Path, tmp_path: Path, damage: str) -> None:
    run(rows_csv)
    do, told = DAMAGES[damage]
    do(tmp_path / "out")
    problems = problems_of(str(tmp_path / "out"))
    assert any(re.search(told, line) for line in problems), problems


def test_a_copy_deeper_in_the_output_is_no_part_of_the_run(run: Run, rows_csv: Path, tmp_path: Path) -> None:
    run(rows_csv)
    part = only(tmp_path / "out" / "predictions")
    copy = tmp_path / "out" / "predictions" / "old" / part.name
    copy.parent.mkdir()
    copy.write_bytes(part.read_bytes())
    assert problems_of(str(tmp_path / "out")) == [f"{copy}: no part of the run"]


def test_an_output_of_nobody_is_a_plain_line(run: Run, rows_csv: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished scoring run has written here"):
        problems_of(str(tmp_path / "out"))
    run(rows_csv)
    (tmp_path / "out" / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest\.json: damaged"):
        problems_of(str(tmp_path / "out"))
    (tmp_path / "out" / "manifest.json").write_text('{"format_version": 99}')
    with pytest.raises(InputError, match="newer than 1, this release's; upgrade perennial"):
        problems_of(str(tmp_path / "out"))
