"""A delivering process is killed again and again, by a service with faults: each refund is opened once."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tasks.examples.refunds import Refunds
from tests.small import ROOT
from tests.tasks.actions.parcels import lines, parcel
from tests.tasks.actions.services import Service, faulty

ROWS, SHARDS = 120, 3


class Delivery:
    """Delivers in processes of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def begin(self) -> int:
        """The id of a new one."""
        assert self._process.stdin
        print("go", file=self._process.stdin, flush=True)
        return self._said()

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        return self._said()

    def _said(self) -> int:
        assert self._process.stdout
        return int(self._process.stdout.readline())


@contextmanager
def delivering(folder: Path, service: Service, retries: int) -> Iterator[Delivery]:
    command = [sys.executable, "-m", "tests.tasks.actions.parcels", str(folder), f"{service.address}/refunds"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'infra'}"}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*command, str(retries)], cwd=ROOT, stdin=pipe, stdout=pipe, text=True, env=environment
    ) as process:
        yield Delivery(process)


def killed_while_delivering(delivery: Delivery, service: Service, after: int) -> bool:
    """Whether it was killed before it came to its end, once it has sent so many requests."""
    process, seen = delivery.begin(), len(service.requests)
    while psutil.pid_exists(process) and len(service.requests) < seen + after:
        time.sleep(0.001)
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    return delivery.ended() == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("retries", [1, 8])
def test_each_refund_is_opened_once_through_retries_and_kills(tmp_path: Path, retries: int) -> None:
    parcels = [parcel(tmp_path, ROWS, f"{n}", f"{n}.csv") for n in range(SHARDS)]
    chance, kills = random.Random(retries), 0
    with (
        faulty(tmp_path / "refunds.db", seed=retries) as service,
        delivering(tmp_path, service, retries) as delivery,
    ):
        for _ in range(8):
            kills += killed_while_delivering(delivery, service, chance.randint(1, 60))
        delivery.begin()
        assert delivery.ended() == 0
    told = json.loads((tmp_path / "told.json").read_text())
    assert kills >= 4 and len(service.requests) > ROWS * SHARDS
    receipts = [entry["key"] for wanted in parcels for entry in lines(wanted.receipts)]
    dead = [entry["key"] for wanted in parcels for entry in lines(wanted.dead)]
    assert len({*receipts, *dead}) == len(receipts) + len(dead) == ROWS * SHARDS
    assert (told["selected"], told["delivered"], told["dead"]) == (ROWS * SHARDS, len(receipts), len(dead))
    refunds = [refund["idempotency_key"] for refund in Refunds(tmp_path / "refunds.db").list()]
    assert len(refunds) == len(set(refunds)) and set(receipts) <= set(refunds) <= {*receipts, *dead}
    if retries == 8:
        assert len(refunds) == ROWS * SHARDS and not dead
