"""A delivering process is killed again and again, by a service with faults: each refund is opened once."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.examples.refunds import Refunds
from tests.small import ROOT
from tests.tasks.actions.parcels import lines, parcel
from tests.tasks.actions.services import Service, faulty

ROWS, SHARDS = 120, 3


def start(folder: Path, service: Service, retries: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.tasks.actions.parcels", str(folder), f"{service.address}/refunds"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'infra'}"}
    return subprocess.Popen([*command, str(retries)], cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)


def killed_while_delivering(process: "subprocess.Popen[str]", service: Service, after: int) -> bool:
    """Whether it was killed before it came to its end, once it has sent so many requests."""
    seen = len(service.requests)
    while process.poll() is None and len(service.requests) < seen + after:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("retries", [1, 8])
def test_each_refund_is_opened_once_through_retries_and_kills(tmp_path: Path, retries: int) -> None:
    parcels = [parcel(tmp_path, ROWS, f"{n}", f"{n}.csv") for n in range(SHARDS)]
    chance, kills = random.Random(retries), 0
    with faulty(tmp_path / "refunds.db", seed=retries) as service:
        for _ in range(8):
            kills += killed_while_delivering(start(tmp_path, service, retries), service, chance.randint(1, 60))
        last = start(tmp_path, service, retries)
        told = json.loads(last.communicate(timeout=120)[0])
    assert kills >= 4 and len(service.requests) > ROWS * SHARDS
    receipts = [entry["key"] for wanted in parcels for entry in lines(wanted.receipts)]
    dead = [entry["key"] for wanted in parcels for entry in lines(wanted.dead)]
    assert len({*receipts, *dead}) == len(receipts) + len(dead) == ROWS * SHARDS
    assert (told["selected"], told["delivered"], told["dead"]) == (ROWS * SHARDS, len(receipts), len(dead))
    refunds = [refund["idempotency_key"] for refund in Refunds(tmp_path / "refunds.db").list()]
    assert len(refunds) == len(set(refunds)) and set(receipts) <= set(refunds) <= {*receipts, *dead}
    if retries == 8:
        assert len(refunds) == ROWS * SHARDS and not dead
