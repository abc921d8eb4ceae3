"""`perennial monitor` as a user or a script meets it."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from models.contract import read_contract
from models.profile import Bins, Names, Rate, read_profile
from tests.conftest import Copy, Small
from tests.small import cli, plain, table


@pytest.fixture(scope="module")
def same(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows like those of the training."""
    path = tmp_path_factory.mktemp("same") / "same.csv"
    table(600, seed=7).drop(columns="broken").to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def shifted(same: Path) -> Path:
    """The same with a number that is a standard deviation higher, and a category that was never seen."""
    frame = pd.read_csv(same)
    frame["heat"] += 5
    frame.loc[frame.index % 4 == 0, "shop"] = "west"
    path = same.with_name("shifted.csv")
    frame.to_csv(path, index=False)
    return path


def run_of(run_id: str) -> Any:
    from tasks.registry.connection import connect

    return connect().get_run(run_id)


def test_a_version_carries_the_profile_of_its_training(small: Small) -> None:
    profile, contract = read_profile(small.downloaded), read_contract(small.downloaded)
    assert profile is not None
    assert profile.rejected == Rate(count=0, rows=600)
    assert set(profile.columns) == {column.name for column in contract.columns}
    load = profile.columns["load"].facets["value"]
    statistics: Any = next(column.statistics for column in contract.columns if column.name == "load")
    assert isinstance(load, Bins) and sum(load.counts) == profile.rows == statistics.count
    assert (load.low, load.high) == pytest.approx((statistics.quantiles[0], statistics.quantiles[-1]))
    split = cli("train", small.file, "--dry-run", "--json").json["rows"]
    label = profile.predictions.facets["label"]
    assert isinstance(label, Names) and (profile.rows, sum(label.cells)) == (split["train"], split["test"])


def test_rows_like_those_of_the_training_have_not_drifted(small: Small, same: Path) -> None:
    said = cli("monitor", "small", "--input", same)
    assert said.code == 0, said.both
    first, report = said.out.splitlines()
    assert first == "600 rows, 0 rejected, compared with the training of small version 1: nothing has drifted"
    assert Path(report.removeprefix("report: ")).is_file()


def test_what_has_drifted_is_told_and_on_record(small: Small, shifted: Path) -> None:
    said = cli("monitor", "small@champion", "--input", shifted, "--json")
    assert said.code == 1, said.both
    told = said.json
    assert (told["model"], told["version"], told["rows"], told["rejected"]) == ("small", "1", 600, 0)
    found = [(change["column"], change["facet"]) for change in told["drifted"]]
    assert {("shop", "value"), ("shop", "unseen"), ("heat", "value")} <= set(found)
    assert not {("load", "value"), ("night", "value"), ("made", "time")} & set(found)
    run = run_of(told["run_id"])
    assert run.data.tags["mlflow.parentRunId"] == small.run_id
    assert (run.data.tags["job"], run.data.tags["version"], run.info.status) == ("monitor", "1", "FINISHED")
    assert run.data.metrics["drifted"] == len(found) and run.data.metrics["psi.heat.value"] > 0.5
    report = Path(told["report"])
    assert report.read_text().count("<svg") >= 3
    assert {"report.html", "drift.json", "profile.json", "files.json"} == {
        path.name for path in report.parent.iterdir()
    }
    assert json.loads((report.parent / "drift.json").read_text())[0]["drifted"]


def test_people_read_a_short_table_and_prefect_has_one_too(small: Small, shifted: Path) -> None:
    from prefect.client.orchestration import get_client

    said = cli("monitor", "small", "--input", shifted)
    assert said.code == 1
    lines = said.out.splitlines()
    assert lines[0].endswith(" drifted") and lines[-1].startswith("report: ")
    frame = pd.read_csv(shifted)
    west = f"{(frame['shop'] == 'west').mean():.1%}"
    assert ["shop", "unseen", "0.0%", "in", "the", "training,", west, "now"] in [line.split() for line in lines]
    with get_client(sync_client=True) as client:
        shown = [artifact for artifact in client.read_artifacts() if artifact.key == "drift"]
    assert any("| shop | unseen |" in str(artifact.data) for artifact in shown)


def test_rejected_rows_are_drift(small: Small, same: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(same).astype({"load": object})
    frame.loc[frame.index % 5 == 0, "load"] = 1000
    frame.to_csv(tmp_path / "out.csv", index=False)
    said = cli("monitor", "small", "--input", tmp_path / "out.csv", "--json")
    assert said.code == 1, said.both
    assert said.json["rejected"] == 120
    assert ("rows", "rejected") in [(change["of"], change["facet"]) for change in said.json["drifted"]]


def test_tables_and_periods_are_read_as_scoring_reads_them(small: Small, same: Path, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "rows.db") as db:
        pd.read_csv(same).to_sql("readings", db, index=False)
    uri = f"sqlite:///{tmp_path}/rows.db"
    said = cli("monitor", "small", "--input", f"{uri}#readings", "--key", "id", "--json")
    assert (said.code, said.json["rows"]) == (0, 600), said.both
    query = ("--query", "SELECT * FROM readings WHERE id < 300", "--key", "id")
    assert cli("monitor", "small", "--input", uri, *query, "--json").json["rows"] == 300
    days = ("--since", "2024-06-01", "--until", "2024-12-01", "--time", "made")
    inside = pd.to_datetime(pd.read_csv(same)["made"]).between("2024-06-01", "2024-11-30")
    said = cli("monitor", "small", "--input", same, *days, "--json")
    untimed = int(pd.read_csv(same)["made"].isna().sum())
    assert said.json["rows"] == int(inside.sum()) + untimed and said.json["rejected"] == untimed


def test_what_can_not_be_compared_is_one_plain_line(small: Small, copy: Copy, same: Path, tmp_path: Path) -> None:
    plain(cli("monitor", "smal", "--input", same), 2, "smal", "'small'")
    plain(cli("monitor", "small/9", "--input", same), 2, "no version 9")
    plain(cli("monitor", "small", "--input", tmp_path / "none.csv"), 2, "none.csv")
    plain(cli("monitor", "small", "--input", " "), 2, "--input")
    pd.read_csv(same).drop(columns="heat").to_csv(tmp_path / "less.csv", index=False)
    plain(cli("monitor", "small", "--input", tmp_path / "less.csv"), 2, "less.csv", "'heat'")
    pd.read_csv(same).head(0).to_csv(tmp_path / "empty.csv", index=False)
    plain(cli("monitor", "small", "--input", tmp_path / "empty.csv"), 2, "no rows")
    pd.read_csv(same).dropna().to_csv(tmp_path / "timed.csv", index=False)
    later = ("--since", "2030-01-01", "--time", "made")
    plain(cli("monitor", "small", "--input", tmp_path / "timed.csv", *later), 2, "no rows", "period")
    plain(cli("monitor", "small", "--input", same, "--since", "2030-01-01"), 2, "--time")
    copy("earlier")
    plain(cli("monitor", "earlier/1", "--input", same), 2, "earlier version 1", "no profile", "train again")


def test_a_damaged_profile_is_said_of_the_version(small: Small, copy: Copy, same: Path, tmp_path: Path) -> None:
    shutil.copytree(small.package, tmp_path / "copy-torn")
    (tmp_path / "copy-torn" / "profile.json").write_text("{")
    from models.contract import write_contract

    write_contract(read_contract(small.package).model_copy(update={"name": "torn"}), tmp_path / "copy-torn")
    copy("torn")
    plain(cli("monitor", "torn/1", "--input", same), 2, "models:/torn/1", "damaged profile")
