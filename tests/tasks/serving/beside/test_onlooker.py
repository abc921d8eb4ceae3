"""What looks on is told of everything, and keeps no request from its answer."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from starlette.testclient import TestClient

from tasks.scoring.rows import Finding
from tasks.serving.asking import Asked, RowsAsked
from tasks.serving.beside import onlooker
from tasks.serving.beside.block import Block
from tasks.serving.beside.endpoints import Endpoints
from tasks.serving.beside.log import RequestLog
from tasks.serving.beside.onlooker import Onlooker
from tasks.serving.beside.telling import Telling
from tasks.serving.worker_settings import Logging
from tests.tasks.serving.asking import asking
from tests.tasks.serving.beside.answers import answer, load
from tests.tasks.serving.beside.test_log import some_rows
from tests.tasks.serving.versions import write_version


def looked(watching: Onlooker, *answers: Any) -> None:
    async def show() -> None:
        for each in answers:
            await watching.answered(each)

    asyncio.run(show())
    watching.close()


def test_all_that_was_answered_is_logged_when_the_server_ends(tmp_path: Path) -> None:
    write_version(tmp_path / "version")
    served = load(tmp_path / "version")
    watching = Onlooker(RequestLog(Logging(str(tmp_path / "log"), seconds=1000)), None)
    looked(watching, *(answer(served, some_rows(3), f"r{number}") for number in range(500)))
    found = pd.read_parquet(tmp_path / "log" / "by-hand")
    assert found["request_id"].value_counts().to_dict() == {f"r{number}": 3 for number in range(500)}


def test_a_share_of_the_requests_is_logged_whole(tmp_path: Path) -> None:
    write_version(tmp_path / "version")
    served = load(tmp_path / "version")
    watching = Onlooker(RequestLog(Logging(str(tmp_path / "log"), share=0.3)), None)
    looked(watching, *(answer(served, some_rows(2), f"r{number}") for number in range(300)))
    counts = pd.read_parquet(tmp_path / "log" / "by-hand")["request_id"].value_counts()
    assert set(counts) == {2}
    assert 60 < len(counts) < 120


def test_rows_for_which_there_is_no_room_are_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(onlooker, "MOST_BYTES", 10_500)
    monkeypatch.setattr(onlooker, "SECONDS", 1000)
    write_version(tmp_path / "version")
    served = load(tmp_path / "version")
    (tmp_path / "shared").mkdir()
    watching = Onlooker(RequestLog(Logging(str(tmp_path / "log"))), Endpoints(tmp_path / "shared"))
    with caplog.at_level(logging.ERROR):
        looked(watching, *(answer(served, some_rows(1), f"r{number}", "plant") for number in range(25)))
    assert len(pd.read_parquet(tmp_path / "log" / "by-hand")) == 10
    assert "15 rows were not logged" in caplog.messages[-1]
    (told,) = Telling(tmp_path / "shared").of(served)["endpoints"]
    assert (told["requests"], told["rows"]) == (25, 25)


def test_an_error_while_looking_on_harms_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("of ours")

    write_version(tmp_path / "version")
    served = load(tmp_path / "version")
    (tmp_path / "shared").mkdir()
    monkeypatch.setattr(Block, "predictions", property(fail))
    watching = Onlooker(RequestLog(Logging(str(tmp_path / "log"))), Endpoints(tmp_path / "shared"))
    looked(watching, answer(served, some_rows(1), "r", "plant"))
    assert "beside the answers" in caplog.text
    assert len(Telling(tmp_path / "shared").of(served)["endpoints"]) == 1


def test_who_names_no_endpoint_is_not_looked_at(tmp_path: Path) -> None:
    write_version(tmp_path / "version")
    served = load(tmp_path / "version")
    (tmp_path / "shared").mkdir()
    watching = Onlooker(None, Endpoints(tmp_path / "shared"))
    watching.refused(served, Asked("r", RowsAsked([{}])), [Finding("load", "is not there", 1)])
    looked(watching, answer(served, some_rows(1)))
    assert Telling(tmp_path / "shared").of(served)["endpoints"] == []


def test_endpoints_are_told_over_rest(tmp_path: Path) -> None:
    write_version(tmp_path / "version")
    with asking(tmp_path, {"m": tmp_path / "version"}) as client:
        rows = [{"load": 1, "shop": "north"}, {"load": 2, "shop": None}]
        assert client.post("/models/m/predict", json={"rows": rows, "endpoint": "plant 7"}).status_code == 200
        assert client.post("/models/m/predict", json={"rows": [{"load": 99}], "endpoint": "plant 7"}).status_code == 422
        tensors = [
            {"name": "load", "shape": [1], "datatype": "FP64", "data": [3]},
            {"name": "shop", "shape": [1], "datatype": "BYTES", "data": ["north"]},
        ]
        body = {"inputs": tensors, "parameters": {"endpoint": "gate"}}
        assert client.post("/v2/models/m/infer", json=body).status_code == 200
        told = told_soon(client, "/models/m/endpoints")
        by_name = {each["endpoint"]: each for each in told["endpoints"]}
        assert (told["model"], told["version"], told["let_go"]) == ("m", "1", 0)
        plant = by_name["plant 7"]
        assert (plant["requests"], plant["rows"], plant["rejected"], plant["drift"]) == (2, 2, 1, None)
        assert sum(plant["reasons"].values()) == 1
        assert (by_name["gate"]["requests"], by_name["gate"]["rows"]) == (1, 1)
        assert client.get("/endpoints").json() == {"models": [told]}
        assert client.get("/models/other/endpoints").status_code == 404
        paths = client.get("/openapi.json").json()["paths"]
        assert {"/endpoints", "/models/m/endpoints"} <= paths.keys()


def test_tensors_that_are_not_there_are_rejects_of_their_endpoint(tmp_path: Path) -> None:
    write_version(tmp_path / "version")
    with asking(tmp_path, {"m": tmp_path / "version"}) as client:
        load = {"name": "load", "shape": [2], "datatype": "FP64", "data": [3, 4]}
        body = {"inputs": [load, load | {"name": "shopp"}], "parameters": {"endpoint": "gate"}}
        for _ in range(3):
            reply = client.post("/v2/models/m/infer", json=body)
            assert (
                reply.status_code == 422 and "'shop': is missing (did you mean it by 'shopp'?)" in reply.json()["error"]
            )
        [gate] = told_soon(client, "/models/m/endpoints")["endpoints"]
    assert (gate["requests"], gate["rows"], gate["rejected"], gate["reasons"]) == (3, 0, 6, {"is missing": 3})


def told_soon(client: TestClient, path: str) -> Any:
    """What is told once the thread has looked."""
    for _ in range(100):
        told = client.get(path).json()
        if sum(each["requests"] for each in told["endpoints"]) == 3:
            return told
        asyncio.run(asyncio.sleep(0.1))
    raise AssertionError(told)
