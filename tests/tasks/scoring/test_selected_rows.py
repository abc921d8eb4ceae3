"""Periods, partitions and what is new: which rows a run reads, against pandas."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from models.errors import InputError
from tasks.scoring.claim import claimed
from tasks.scoring.destination import destination
from tasks.scoring.inputs import look_at
from tasks.scoring.outputs import problems_of, scored_before
from tasks.scoring.predictor import Predictor
from tasks.scoring.request import Options, Request
from tasks.scoring.score import Scores, score_into
from tests.tasks.scoring.scored_files import STAMP, new_rows


def scored(predictor: Predictor, given: Path, output: Path, **options: Any) -> Scores:
    """Scores with options that only a request has."""
    request = Request("small/1", (str(given),), Options(**options))
    wanted = destination(output)
    known = scored_before(options["new_since"]) if "new_since" in options else ()
    sources = look_at(request.inputs, wanted, request.options.partitions, known)
    with claimed(wanted, False) as sink:
        return score_into(sink, predictor, sources, STAMP, request)


@pytest.mark.parametrize(
    ("since", "until"), [("2024-02-01", None), (None, "2024-02-01"), ("2024-01-15", "2024-03-01T12:00:00+02:00")]
)
def test_rows_outside_of_a_period_are_passed_over(
    predictor: Predictor, tmp_path: Path, since: str | None, until: str | None
) -> None:
    frame = new_rows(100)
    stamps = pd.date_range("2024-01-01", periods=100, freq="D")
    frame["at"] = stamps.strftime("%Y-%m-%d")
    frame.loc[[5, 50], "at"] = ["soon", None]
    frame.loc[20, "load"] = 1000
    frame.to_csv(tmp_path / "in.csv", index=False)
    done = scored(predictor, tmp_path / "in.csv", tmp_path / "out", since=since, until=until, time="at")
    times = pd.to_datetime(frame["at"], errors="coerce", utc=True)
    inside = times.notna()
    if since:
        inside &= times >= pd.to_datetime(since, utc=True)
    if until:
        inside &= times < pd.to_datetime(until, utc=True)
    rows, rejects = pd.read_parquet(done.predictions)["row"], pd.read_parquet(done.rejects)
    assert rows.tolist() == [row + 1 for row in frame.index[inside] if row != 20]
    assert sorted(rejects["row"]) == sorted([6, 51, *([21] if inside[20] else [])])
    assert rejects.set_index("row")["reason"][6] == "no time in at"
    assert done.rows == 100 == done.scored + done.rejected + done.passed
    assert problems_of(str(tmp_path / "out")) == []


def test_a_period_without_a_time_is_a_plain_line(predictor: Predictor, tmp_path: Path) -> None:
    new_rows(5).to_csv(tmp_path / "in.csv", index=False)
    for options, told in (
        ({"since": "2024-01-01"}, "need --time COLUMN"),
        ({"since": "yesterday", "time": "made"}, "'yesterday': no date or time"),
        ({"since": "2024-02-01", "until": "2024-01-01", "time": "made"}, "is not before --until"),
        ({"since": "2024-01-01", "time": "when"}, "no column 'when'"),
    ):
        with pytest.raises(InputError, match=told):
            scored(predictor, tmp_path / "in.csv", tmp_path / "out", **options)
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv"}


def test_only_the_wanted_partitions_are_read(predictor: Predictor, tmp_path: Path) -> None:
    for year in (2023, 2024, 2025):
        (tmp_path / "in" / f"year={year}").mkdir(parents=True)
        new_rows(year - 2020, seed=year).to_parquet(tmp_path / "in" / f"year={year}" / "a.parquet")
    done = scored(predictor, tmp_path / "in", tmp_path / "out", partitions=("year=2023", "year=2025"))
    assert done.rows == 8
    assert set(pd.read_parquet(done.predictions)["year"]) == {"2023", "2025"}
    for partitions, told in ((("year=1999",), "no file lies in such a folder"), (("year",), "write NAME=VALUE")):
        with pytest.raises(InputError, match=told):
            scored(predictor, tmp_path / "in", tmp_path / "none", partitions=partitions)


def test_files_that_an_earlier_run_has_scored_are_left_out(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, rows in (("a", 5), ("b", 6)):
        new_rows(rows, seed=rows).to_parquet(tmp_path / "in" / f"{name}.parquet")
    scored(predictor, tmp_path / "in", tmp_path / "monday")
    new_rows(7, seed=7).to_parquet(tmp_path / "in" / "c.parquet")
    new_rows(8, seed=8).to_parquet(tmp_path / "in" / "b.parquet")
    done = scored(predictor, tmp_path / "in", tmp_path / "tuesday", new_since=str(tmp_path / "monday"))
    assert done.rows == 15
    assert {Path(source).name for source in pd.read_parquet(done.predictions)["source"]} == {"b.parquet", "c.parquet"}
    nothing = scored(predictor, tmp_path / "in", tmp_path / "again", new_since=str(tmp_path / "tuesday"))
    assert nothing.rows == 0, "the run before it has left out what its own predecessor has scored"
    new_rows(9, seed=9).to_parquet(tmp_path / "in" / "a.parquet")
    changed = scored(predictor, tmp_path / "in", tmp_path / "friday", new_since=str(tmp_path / "again"))
    assert changed.rows == 9
