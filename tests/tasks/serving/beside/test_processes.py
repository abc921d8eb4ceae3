"""Several workers: one log, one view of the endpoints."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pandas as pd
import pytest

from tests.tasks.serving.beside.deciding import serving
from tests.tasks.serving.versions import write_version

pytestmark = pytest.mark.slow


def test_workers_tell_of_endpoints_together_and_log_all_they_have_answered(tmp_path: Path) -> None:
    write_version(tmp_path / "version")
    words = [tmp_path / "version", "--workers", 2, "--log", tmp_path / "log", "--log-seconds", 1000]
    with serving(tmp_path / "home", *words) as server, ThreadPoolExecutor(8) as callers:

        def ask(number: int) -> int:
            # Each by a connection of its own, so that both workers have some.
            body = {"rows": [{"load": 1.0, "shop": None}], "endpoint": f"plant {number % 3}"}
            headers = {"X-Request-ID": f"r{number}"}
            return httpx.post(f"{server.address}/models/by-hand/predict", json=body, headers=headers).status_code

        assert set(callers.map(ask, range(60))) == {200}
        until, told = time.monotonic() + 20, {}
        while sum(told.values()) < 60:
            assert time.monotonic() < until
            found = httpx.get(f"{server.address}/models/by-hand/endpoints").json()["endpoints"]
            told = {each["endpoint"]: each["requests"] for each in found}
        assert told == {"plant 0": 20, "plant 1": 20, "plant 2": 20}
        assert not (tmp_path / "log").exists()
    logged = pd.read_parquet(tmp_path / "log" / "by-hand")
    assert sorted(logged["request_id"]) == sorted(f"r{number}" for number in range(60))
    assert len(list((tmp_path / "log" / "by-hand").iterdir())) == 2
