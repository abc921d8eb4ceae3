"""Decisions that were answered are acted upon, whatever happens to the server and the receiver."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from models.actions import Action
from tests.tasks.actions.services import Reply, Service, scripted
from tests.tasks.serving.beside.deciding import serving, write_acting

pytestmark = pytest.mark.slow
DECISIONS = 200


class Receiver:
    """Refuses some tries, and does once what it does for a key."""

    def __init__(self) -> None:
        self._chance, self._lock = random.Random(3), threading.Lock()
        self.accepted: list[tuple[str, int]] = []

    def reply(self, number: int, body: dict[str, object]) -> Reply:
        with self._lock:
            if self._chance.random() < 0.2:
                return 503, {}, "busy"
            self.accepted.append((str(body["source"]), int(str(body["row"]))))
        # Some answers get lost on their way back.
        return None if self._chance.random() < 0.05 else (200, {}, "")


def decide(client: httpx.Client, address: str, number: int) -> int | None:
    """The number, where its decision was answered."""
    rows = [{"load": 1.0}, {"load": -1.0}, {"load": 2.0}]
    try:
        answer = client.post(
            f"{address}/models/sorted/predict", json={"rows": rows}, headers={"X-Request-ID": f"d-{number}"}
        )
    except httpx.HTTPError:
        return None
    return number if answer.status_code == 200 else None


def until(condition: Callable[[], bool], seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_every_answered_decision_is_acted_upon_once_by_its_key_though_the_server_is_killed(tmp_path: Path) -> None:
    receiver = Receiver()
    with scripted(receiver.reply) as service, ThreadPoolExecutor(8) as callers, httpx.Client() as client:
        # By chance the receiver refuses six tries of one of so many rows now and then.
        action = Action(name="repair", when='label == "high"', to=service.address, retries=12)
        write_acting(tmp_path / "version", action)
        with serving(tmp_path / "home", tmp_path / "version", "--workers", 2) as server:
            begun = [callers.submit(decide, client, server.address, number) for number in range(DECISIONS // 2)]
            until(lambda: sum(future.done() for future in begun) > DECISIONS // 4)
            server.kill()
            answered = {future.result() for future in begun} - {None}
        assert len(answered) > DECISIONS // 4
        with serving(tmp_path / "home", tmp_path / "version") as server:
            # Callers whose answer was lost ask again with the same id.
            again = [number for number in range(DECISIONS) if number not in answered]
            answered |= set(callers.map(lambda number: decide(client, server.address, number), again))
            assert answered == set(range(DECISIONS))
            wanted = {(f"d-{number}", row) for number in range(DECISIONS) for row in (1, 3)}
            until(lambda: wanted <= set(receiver.accepted))
    assert set(receiver.accepted) == wanted
    assert len(keys_of(service)) == len(wanted)
    assert not list((tmp_path / "home").glob("actions/serve/sorted/*/repair/*.dead.jsonl"))


def keys_of(service: Service) -> set[str]:
    """The receiver acts once for each of these."""
    named: dict[str, set[tuple[object, object]]] = {}
    for key, body in service.requests:
        named.setdefault(key, set()).add((body["source"], body["row"]))
    assert all(len(rows) == 1 for rows in named.values())
    return set(named)
