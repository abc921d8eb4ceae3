"""Promise 4: each row ends once, counts are reconciled and recorded; a killed run that starts again loses nothing."""

import hashlib
import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prefect import get_client

from tasks.registry.connection import connect
from tasks.scoring.batch import Stamp
from tasks.scoring.predictor import Predictor
from tasks.scoring.score import Scores, score_files
from tests.conftest import Small
from tests.promises.conftest import Mixed
from tests.small import cli, command, finished, table

BAD = {"load": ["x", 1000, "inf"], "made": ["soon"], "night": ["maybe"], "heat": ["warm"]}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 59), st.sampled_from(sorted(BAD)), st.integers(0, 2)), max_size=30))
def test_every_row_ends_once_whatever_is_wrong(
    small: Small, tmp_path_factory: pytest.TempPathFactory, faults: list[tuple[int, str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("once")
    frame = table(60, seed=3).drop(columns="broken").astype(object)
    for row, column, which in faults:
        frame.loc[row, column] = BAD[column][which % len(BAD[column])]
    frame.to_csv(folder / "in.csv", index=False)
    done = score_files(Predictor.load(small.downloaded), [str(folder / "in.csv")], folder / "out", Stamp("m", "1", "r"))
    ends = Counter([*pd.read_parquet(done.predictions)["row"], *pd.read_parquet(done.rejects)["row"]])
    assert ends == Counter(range(1, 61))
    assert set(pd.read_parquet(done.rejects)["row"]) == {row + 1 for row, _, _ in faults}
    assert (done.rows, done.rejected) == (60, len({row for row, _, _ in faults}))
    assert sum(done.reasons.values()) == done.rejected
    scored = pd.read_parquet(done.predictions)
    assert scored["id"].astype(int).tolist() == [row - 1 for row in scored["row"]]
    assert [float(load) for load in scored["load"]] == [float(frame["load"][row - 1]) for row in scored["row"]]


def test_malformed_rows_are_counted(small: Small, tmp_path: Path) -> None:
    frame = table(5, seed=3).drop(columns="broken")
    (tmp_path / "in.csv").write_text(frame.to_csv(index=False) + "1,2\n")
    done = score_files(
        Predictor.load(small.downloaded), [str(tmp_path / "in.csv")], tmp_path / "o", Stamp("m", "1", "r")
    )
    assert (done.rows, done.scored, done.rejected) == (6, 5, 1)


def test_the_counts_are_on_the_run(small: Small, rows_csv: Path, tmp_path: Path) -> None:
    done = cli("score", "small", "--input", rows_csv, "--output", tmp_path / "out", "--json").json
    run = connect().get_run(done["run_id"])
    assert {k: run.data.metrics[k] for k in ("rows", "scored", "rejected")} == {
        "rows": 200,
        "scored": 198,
        "rejected": 2,
    }
    assert run.info.run_name == "200 rows, 2 rejected"
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == small.run_id


def test_broken_and_missing_files_are_rejects(mixed: Mixed, tmp_path: Path) -> None:
    """Files lie beside the table that names them, so the table is written beside those of the model."""
    folder = mixed.rows.parent
    (folder / "broken.png").write_bytes((folder / "1-0.png").read_bytes()[:60])
    (folder / "text.wav").write_text("not a recording")
    frame = pd.read_csv(mixed.rows)
    frame.loc[2, "photo"] = "broken.png"
    frame.loc[4, ["photo", "sound"]] = "nowhere.png", "text.wav"
    frame.loc[7, "sound"] = "../outside.wav"
    table = folder / "faulty.csv"
    frame.to_csv(table, index=False)
    done = score_files(mixed.predictor, [str(table)], tmp_path / "out", Stamp("m", "1", "r"))
    predictions, rejects = pd.read_parquet(done.predictions), pd.read_parquet(done.rejects)
    assert sorted([*predictions["row"], *rejects["row"]]) == list(range(1, 21))
    assert rejects["row"].tolist() == [3, 5, 8]
    assert rejects["column"].tolist() == ["photo", "photo; sound", "sound"]
    assert (done.rows, done.scored, done.rejected) == (20, 17, 3) and sum(done.reasons.values()) == 3
    second = rejects["reason"][1].split("; ")
    assert second[0] == "no such file" and len(second) == 2
    assert rejects["reason"][2] == "outside the folder"


def digest(folder: Path) -> str:
    """Of all rows but the id of the run that wrote them."""
    frame = pd.read_parquet(folder / "predictions").drop(columns="run_id")
    return hashlib.sha256(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()).hexdigest()


def test_only_what_is_missing_is_scored_again(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table(100, seed=8).drop(columns="broken").to_csv(tmp_path / "in.csv", index=False)
    predictor = Predictor.load(small.downloaded)

    def score(run_id: str, **more: Any) -> Scores:
        return score_files(
            predictor, [str(tmp_path / "in.csv")], tmp_path / "out", Stamp("m", "1", run_id), shard_rows=30, **more
        )

    def stop(done: int) -> None:
        if done > 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score("first", on_rows=stop)
    parts = {path.name: path.stat().st_mtime_ns for path in (tmp_path / ".out.partial/out/predictions").iterdir()}
    assert len(parts) == 2
    scored: list[int] = []
    done = score("second", on_rows=scored.append)
    assert (done.rows, done.run_id, scored) == (100, "first", [90, 100])
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out/predictions").iterdir()}
    assert len(after) == 4 and parts.items() <= after.items()
    assert set(pd.read_parquet(done.predictions)["run_id"]) == {"first"}


@pytest.mark.slow
def test_a_killed_run_that_starts_again_ends_with_the_same_output(
    small: Small, server: str, home: Path, tmp_path: Path
) -> None:
    rows = table(300_000, seed=8).drop(columns="broken")
    rows["text"] = np.arange(len(rows)).astype(str)
    rows.to_csv(tmp_path / "in.csv", index=False)
    words = ("score", "small", "--input", tmp_path / "in.csv", "--shard-rows", "10000", "--output")
    assert cli(*words, tmp_path / "whole").code == 0
    process = command(*words, tmp_path / "out", PREFECT_API_URL=server)
    ledger = tmp_path / ".out.partial" / "ledger"
    while process.poll() is None and len(list((ledger / "shards").glob("*.json"))) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert finished(process).code == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    pinned = json.loads((ledger / "run.json").read_text())
    notes = list((home / "running").glob("*.json"))
    crashed = {name: value for note in notes for name, value in json.loads(note.read_text()).items()}
    assert crashed["run_id"] == pinned["run_id"]
    assert connect().get_run(pinned["run_id"]).info.status == "RUNNING"
    again = finished(command(*words, tmp_path / "out", "--json", PREFECT_API_URL=server))
    assert again.code == 0, again.both
    assert again.json["rows"] == again.json["scored"] + again.json["rejected"] == 300_000
    assert again.json["run_id"] == pinned["run_id"]
    assert connect().get_run(pinned["run_id"]).info.status == "FINISHED"
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(UUID(crashed["flow_run_id"])).state_type == "CRASHED"
    assert digest(tmp_path / "out") == digest(tmp_path / "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "whole", "out"}
    assert not list((home / "running").iterdir())
