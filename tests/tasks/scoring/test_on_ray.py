"""Scoring on two workers of a real Ray on this machine: the same rows as in one process, whatever is killed."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
from prefect import get_client
from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterName

from models.actions import Action
from tasks.cluster import connected
from tasks.scoring.on_ray import RayCrew
from tests.conftest import Copy, Small
from tests.servers import Address, PostgresServer
from tests.small import cli, plain, table
from tests.tasks.scoring.in_databases import fill_postgres, fill_sqlite, of_postgres, of_sqlite, rows_with_rejects

pytest.importorskip("ray", reason="Ray, an optional extra, is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]

RAY = ("--engine", "ray")


@pytest.fixture(scope="module", autouse=True)
def ray(s3: Address) -> Iterator[None]:
    """Its workers inherit the keys of the store."""
    assert s3
    with connected(None, 2):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen shards of Parquet files, one with a row to reject, a file that is none, and a CSV file."""
    path = tmp_path_factory.mktemp("in")
    for number in range(3):
        frame = table(5000, seed=number).drop(columns="broken").astype(str)
        frame.loc[7, "load"] = "much"
        frame.to_parquet(path / f"{number}.parquet", row_group_size=1000)
    (path / "3.parquet").write_bytes(b"PAR1 nothing")
    table(5000, seed=4).drop(columns="broken").to_csv(path / "4.csv", index=False)
    return path


def rows_of(place: Path | str) -> pd.DataFrame:
    frame = pd.read_parquet(place).drop(columns="run_id", errors="ignore")
    return frame.sort_values(["source", "row"], ignore_index=True)


@pytest.fixture(scope="module")
def alone(small: Small, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of the folder."""
    output = tmp_path_factory.mktemp("alone") / "out"
    assert cli("score", small.name, "--input", folder, "--output", output, "--shard-rows", 1000).code == 0
    return output


def same(output: Path | str, alone: Path) -> None:
    for what in ("predictions", "rejects"):
        pd.testing.assert_frame_equal(rows_of(f"{output}/{what}"), rows_of(alone / what))


def test_the_rows_are_those_of_one_process(small: Small, folder: Path, alone: Path, tmp_path: Path) -> None:
    done = cli("score", "small", "--input", folder, "--output", tmp_path / "out", "--shard-rows", 1000, *RAY, "--json")
    assert done.code == 0, done.both
    assert (done.json["rows"], done.json["scored"], done.json["rejected"], done.err) == (20_001, 19_997, 4, "")
    same(tmp_path / "out", alone)
    assert cli("score", "--verify", tmp_path / "out").code == 0
    assert {"score 000002-000004", "score source 000004"} <= task_runs("score ")


def task_runs(like: str) -> set[str]:
    """Names of those that have come to their end."""
    with get_client(sync_client=True) as client:
        found = client.read_task_runs(task_run_filter=TaskRunFilter(name=TaskRunFilterName(like_=like)))
    return {run.name for run in found if run.state_name == "Completed"}


def test_a_killed_worker_changes_nothing(small: Small, folder: Path, alone: Path, tmp_path: Path) -> None:
    ledger = tmp_path / ".out.partial" / "ledger" / "shards"
    killed: list[int] = []
    before: dict[str, int] = {}

    def kill() -> None:
        while not killed:
            time.sleep(0.005)
            if ledger.exists() and len(list(ledger.iterdir())) > 2:
                before.update(times(tmp_path / ".out.partial" / "out", {path.stem for path in ledger.iterdir()}))
                for worker in workers("score"):
                    killed.append(worker.pid)
                    worker.send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    done = cli("score", "small", "--input", folder, "--output", tmp_path / "out", "--shard-rows", 1000, *RAY)
    killer.join()
    assert done.code == 0 and killed, done.both
    same(tmp_path / "out", alone)
    assert before == times(tmp_path / "out", set(before)), "what was in the ledger is not done again"
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_an_interrupted_run_goes_on_without_ray(
    small: Small, folder: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / ".out.partial" / "ledger"
    real = RayCrew.ended

    def ended(crew: RayCrew) -> object:
        if len(list((ledger / "shards").glob("*"))) > 2:
            raise KeyboardInterrupt
        return real(crew)

    words = ("score", "small", "--input", folder, "--output", tmp_path / "out", "--shard-rows", 1000)
    with monkeypatch.context() as patch:
        patch.setattr(RayCrew, "ended", ended)
        assert cli(*words, *RAY).code == 130
    run_id = json.loads((ledger / "run.json").read_text())["run_id"]
    shards = {path.stem for path in (ledger / "shards").iterdir()}
    before = times(tmp_path / ".out.partial" / "out", shards)
    done = cli(*words, "--json")
    assert (done.code, done.json["run_id"]) == (0, run_id), done.both
    same(tmp_path / "out", alone)
    assert before and before == times(tmp_path / "out", set(before))


def times(output: Path, shards: set[str]) -> dict[str, int]:
    """When the predictions of these shards were written, in nanoseconds."""
    found = {path.stem.removeprefix("part-"): path.stat().st_mtime_ns for path in (output / "predictions").iterdir()}
    return {shard: when for shard, when in found.items() if shard in shards}


def workers(doing: str) -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if p.name().startswith(f"ray::{doing}")]


def test_one_file_and_an_object_store(small: Small, folder: Path, alone: Path, tmp_path: Path, s3: Address) -> None:
    words = ("score", "small", "--input", folder, "--shard-rows", 2000, *RAY, "--output")
    assert cli(*words, tmp_path / "out.csv").code == 0
    found = pd.read_csv(tmp_path / "out.csv").sort_values(["source", "row"])
    assert found["label"].tolist() == rows_of(alone / "predictions")["label"].tolist()
    remote = s3("spread")
    done = cli(*words, remote)
    assert done.code == 0, done.both
    same_rows = [rows_of(f"{alone}/predictions"), read_remote(s3, "spread/predictions")]
    pd.testing.assert_frame_equal(*same_rows)


def read_remote(s3: Address, path: str) -> pd.DataFrame:
    from pyarrow import dataset

    frame = dataset.dataset(s3(path)).to_table().to_pandas().drop(columns="run_id")
    return frame.sort_values(["source", "row"], ignore_index=True)


CANARY = "canary0815"


def test_tables_and_the_password_is_stored_nowhere(
    small: Small, postgres_server: PostgresServer, home: Path, tmp_path: Path
) -> None:
    rows = rows_with_rejects(500)
    source = fill_postgres(postgres_server, "in30", rows)
    told = [uri.replace("postgres@", f"postgres:{CANARY}@") for uri in (source, source.replace("in30", "out30"))]
    words = ("score", "small", "--key", "id", "--shard-rows", 50, *RAY, "--json", "--input")
    done = cli(*words, told[0], "--output", told[1])
    assert done.code == 0, done.both
    assert (done.json["rows"], done.json["scored"], done.json["rejected"]) == (500, 498, 2)
    assert [int(row) for (row,) in of_postgres(postgres_server, "out30", "row")] == [
        *range(1, 3),
        *range(4, 7),
        *range(8, 501),
    ]
    assert cli("score", "--verify", source.replace("in30", "out30")).code == 0
    assert CANARY not in done.both
    assert not [path for path in home.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    here = fill_sqlite(tmp_path / "a.db", "in", rows)
    assert cli(*words, here, "--output", here.replace("#in", "#out")).code == 0
    assert len(of_sqlite(tmp_path / "a.db", "SELECT DISTINCT row FROM out")) == 498


def test_rows_are_acted_upon_once(small: Small, folder: Path, copy: Copy, tmp_path: Path) -> None:
    action = Action(name="sure", when='label == "yes"', to=str(tmp_path / "sure"), columns=("id",))
    copy("acts-on-ray", actions=(action,))
    done = cli(
        "score", "acts-on-ray/1", "--input", folder, "--output", tmp_path / "out", "--shard-rows", 1000, *RAY, "--json"
    )
    assert done.code == 0, done.both
    scored, sent = (rows_of(tmp_path / name) for name in ("out/predictions", "sure"))
    assert 0 < len(sent) == (scored["label"] == "yes").sum()
    assert not sent.duplicated(["source", "row"]).any()


def test_what_is_wrong_is_the_line_of_a_run_in_one_process(small: Small, folder: Path, tmp_path: Path) -> None:
    words = ("score", "small", "--input", folder, "--output", tmp_path / "out")
    plain(cli(*words, "--keep", "nothing", *RAY), 2, "no column 'nothing'")
    plain(cli(*words, "--max-rejects", "0", "--shard-rows", 1000, *RAY), 2, "more than the limit of 0.0%")
