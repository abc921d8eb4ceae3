"""`perennial score --engine ray` from the command line: what is said, and a killed run that goes on without Ray."""

import json
import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import psutil
import pytest

from flows import score
from models.actions import Action
from models.contract import read_contract
from models.errors import InputError
from tasks.scoring import steps
from tests.conftest import Small
from tests.small import cli, command, finished, plain, table

WITHOUT_RAY = "--engine ray needs Ray: pip install -r requirements-ray.lock"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "in.parquet"
    table(100, seed=3).drop(columns="broken").to_parquet(path)
    return path


def test_what_is_missing_is_one_plain_line(
    small: Small, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("score", "small", "--input", rows, "--output", tmp_path / "out")
    plain(cli(*words, "--address", "head:6379"), 2, "--address needs --engine ray")
    monkeypatch.setitem(sys.modules, "ray", None)
    plain(cli(*words, "--engine", "ray"), 2, WITHOUT_RAY)
    assert {path.name for path in tmp_path.iterdir()} == {"in.parquet"}


def test_an_address_where_nothing_answers_leaves_nothing(small: Small, rows: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray, an optional extra, is not installed")
    words = ("score", "small", "--input", rows, "--output", tmp_path / "out", "--engine", "ray")
    plain(cli(*words, "--address", "127.0.0.1:1"), 3, "Ray at 127.0.0.1:1 can't be reached")
    assert {path.name for path in tmp_path.iterdir()} == {"in.parquet"}


def test_a_missing_token_is_told_before_ray_starts(
    small: Small, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray, an optional extra, is not installed")
    secured = Action(name="open", when="probability >= 0", to="http://127.0.0.1:9/x", token_env="NO_SUCH_TOKEN")
    contract = read_contract(small.downloaded).model_copy(update={"actions": (secured,)})
    started: list[str] = []
    monkeypatch.setattr(steps.versions, "contract_of", lambda version: contract)
    monkeypatch.setattr(score, "crew_of", lambda engine: nullcontext(started.append("ray")))
    monkeypatch.setattr(score, "open_scoring_run", lambda *_: started.append("run"))
    words = ("score", "small", "--input", rows, "--output", tmp_path / "out", "--engine", "ray")
    plain(cli(*words), 2, "actions.open.token_env: the environment variable NO_SUCH_TOKEN holds no token; set it")
    assert not started and {path.name for path in tmp_path.iterdir()} == {"in.parquet"}


def test_workers_elsewhere_need_a_server_that_they_reach(server: str) -> None:
    with pytest.raises(
        InputError, match=rf"workers on 10\.0\.0\.7 can't reach Prefect at {server}, .* set PREFECT_API"
    ):
        steps._require_common_server({"10.0.0.7"})
    steps._require_common_server(())


@pytest.mark.soak
@pytest.mark.timeout(280)
def test_a_killed_run_goes_on_without_ray(small: Small, server: str, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray, an optional extra, is not installed")
    (tmp_path / "in").mkdir()
    for number in range(2):
        frame = table(100_000, seed=number).drop(columns="broken")
        frame.to_parquet(tmp_path / "in" / f"{number}.parquet", row_group_size=4000)
    words = ("score", "small", "--input", tmp_path / "in", "--shard-rows", "4000", "--output")
    process = command(*words, tmp_path / "out", "--engine", "ray", PREFECT_API_URL=server)
    ledger = tmp_path / ".out.partial" / "ledger"
    while process.poll() is None and len(list((ledger / "shards").glob("*.json"))) < 3:
        time.sleep(0.01)
    workers = [p for p in psutil.Process(process.pid).children(recursive=True) if p.name().startswith("ray::score")]
    process.send_signal(signal.SIGKILL)
    assert finished(process).code == -signal.SIGKILL
    run_id = json.loads((ledger / "run.json").read_text())["run_id"]
    again = cli(*words, tmp_path / "out", "--json")
    assert again.code == 0, again.both
    assert (again.json["run_id"], again.json["rows"], again.json["rejected"]) == (run_id, 200_000, 0)
    assert cli(*words, tmp_path / "alone").code == 0
    out, alone = (pd.read_parquet(tmp_path / name / "predictions").drop(columns="run_id") for name in ("out", "alone"))
    pd.testing.assert_frame_equal(out, alone)
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out", "alone"}
    assert workers and not psutil.wait_procs(workers, timeout=30)[1], "they end with the one they worked for"
