"""The refund service: one refund a key, whoever asks how often, and committed before it is answered."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tasks.examples.refunds import Refunds
from tests.small import ROOT
from tests.tasks.actions.services import running

BODY = {"row": 1, "order_value": 18.5}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[httpx.Client]:
    with running(tmp_path / "refunds.db") as server, httpx.Client(base_url=server.address, timeout=10) as client:
        yield client


def post(client: httpx.Client, key: str, content: object = BODY) -> httpx.Response:
    return client.post("/refunds", json=content, headers={"Idempotency-Key": key})


def test_the_second_request_of_a_key_gets_the_first_ones_refund(service: httpx.Client) -> None:
    first, second, other = post(service, "a"), post(service, "a"), post(service, "b")
    assert (first.status_code, second.status_code, other.status_code) == (201, 200, 201)
    assert first.json() == second.json()
    assert first.json()["request"] == BODY and first.json()["idempotency_key"] == "a"
    listed = service.get("/refunds").json()["refunds"]
    assert [refund["idempotency_key"] for refund in listed] == ["a", "b"]


def test_a_hundred_requests_of_ten_keys_at_once_open_ten_refunds(service: httpx.Client) -> None:
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda n: post(service, f"key-{n % 10}").status_code, range(100)))
    assert sorted(set(answers)) == [200, 201] and answers.count(201) == 10
    assert len(service.get("/refunds").json()["refunds"]) == 10


@pytest.mark.parametrize(
    ("key", "content", "status", "told"),
    [
        ("", json.dumps(BODY), 400, "give an Idempotency-Key"),
        ("k" * 201, json.dumps(BODY), 400, "give an Idempotency-Key"),
        ("a", "{", 400, "the body is no JSON object"),
        ("a", "[1]", 400, "the body is no JSON object"),
        ("a", " " * (1 << 20) + "{}", 413, "send at most 1048576 bytes"),
        ("taken", json.dumps({"row": 2}), 422, "the key was used for another refund"),
    ],
)
def test_a_request_that_cannot_be_meant_opens_nothing(
    service: httpx.Client, key: str, content: str, status: int, told: str
) -> None:
    post(service, "taken")
    answer = service.post("/refunds", content=content, headers={"Idempotency-Key": key})
    assert answer.status_code == status and told in answer.json()["error"]
    assert len(service.get("/refunds").json()["refunds"]) == 1


def test_there_are_two_places_to_ask(service: httpx.Client) -> None:
    assert service.get("/health").json() == {"status": "ok"}
    assert (service.get("/").status_code, service.post("/", content="{}").status_code) == (404, 404)


def test_it_runs_on_its_own_and_keeps_its_refunds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tasks.examples.refunds", "--port", "0", "--db", str(tmp_path / "r.db")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[2].rstrip(",")
        assert httpx.post(address, json=BODY, headers={"Idempotency-Key": "a"}, timeout=10).status_code == 201
    finally:
        process.kill()
        process.communicate()
    assert [refund["request"] for refund in Refunds(tmp_path / "r.db").list()] == [BODY]
