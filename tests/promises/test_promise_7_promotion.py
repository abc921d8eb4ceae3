"""Promise 7: promotion is serialised, audited and reversible."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.settings import get_current_settings

from flows import locks
from flows.locks import promotion_lock
from models.errors import InputError, OutsideError, RefusedError
from models.sections import Promotion
from tasks.registry.connection import connect
from tasks.registry.history import read_history, whoami
from tasks.registry.versions import find_alias
from tests.conftest import Copy
from tests.small import ROOT, Outcome, cli, command, finished, plain

RULES = {"promotion": Promotion(min_rows=20, resamples=100)}


def champion(model: str) -> str | None:
    found = find_alias(model, "champion")
    return found.number if found else None


def test_who_comes_second_is_told_who_holds_it(copy: Copy) -> None:
    name = "held"
    copy(name, **RULES)
    with promotion_lock(name):
        said = cli("promote", name)
    plain(said, 1, "held: a promotion is under way", f"held by {whoami()} since", "try again")
    assert champion(name) is None
    assert cli("promote", name).code == 0


def test_a_rollback_waits_for_no_promotion_either(copy: Copy) -> None:
    name = "held-back"
    copy(name, **RULES)
    with promotion_lock(name):
        plain(cli("rollback", name), 1, "a promotion is under way")


def test_another_model_is_not_held_up(copy: Copy) -> None:
    copy("held-a", **RULES)
    copy("held-b", **RULES)
    with promotion_lock("held-a"):
        assert cli("promote", "held-b").code == 0


def test_a_server_that_fails_is_not_called_a_promotion_under_way(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "held-broken"
    copy(name, **RULES)

    @contextmanager
    def broken(*_: object, **__: object) -> Iterator[None]:
        raise ConcurrencySlotAcquisitionError("server error 500")
        yield

    monkeypatch.setattr(locks, "concurrency", broken)
    with pytest.raises(OutsideError, match="held-broken: Prefect could not lock the promotion"), promotion_lock(name):
        pass


def test_the_lock_is_free_after_an_error(copy: Copy) -> None:
    name = "held-error"
    copy(name, **RULES)
    with pytest.raises(ValueError, match="inside"), promotion_lock(name):
        raise ValueError("inside")
    with promotion_lock(name):
        pass


def test_a_model_that_does_not_exist_has_no_lock(server: str) -> None:
    with pytest.raises(InputError, match="nobody-at-all: no such model"), promotion_lock("nobody-at-all"):
        pass


def test_of_two_holders_at_once_one_wins(copy: Copy) -> None:
    name = "held-race"
    copy(name, **RULES)
    outcomes: list[str] = []
    start, refused = threading.Barrier(2), threading.Event()

    def contend() -> None:
        start.wait()
        try:
            with promotion_lock(name):
                refused.wait(60)
                outcomes.append("won")
        except RefusedError as error:
            outcomes.append(str(error))
            refused.set()

    threads = [threading.Thread(target=contend) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 2
    assert outcomes.count("won") == 1
    assert any("a promotion is under way" in outcome for outcome in outcomes)


def test_who_when_why_and_on_which_numbers_is_kept(copy: Copy) -> None:
    name = "audited"
    copy(name, **RULES)
    before = datetime.now(UTC)
    assert cli("promote", name, "--why", "monthly review").code == 0
    event = read_history(name)[-1]
    assert (event.event, event.version, event.before, event.who, event.why) == (
        "promoted",
        "1",
        None,
        whoami(),
        "monthly review",
    )
    assert before.timestamp() - 1 <= datetime.fromisoformat(event.when).timestamp() <= time.time() + 1
    assert any("rows that no side was trained on" in reason for reason in event.reasons)
    run = connect().get_run(event.run_id)
    assert run.info.run_name == "yes: v1, no champion yet"


def test_one_command_goes_back(copy: Copy) -> None:
    name = "reversible"
    for _ in range(2):
        copy(name, **RULES)
        assert cli("promote", name).code == 0
    assert champion(name) == "2"
    assert cli("rollback", name).code == 0
    assert champion(name) == "1"
    connect().set_registered_model_alias(name, "challenger", "2")
    plain(cli("promote", name), 1, "version 2 was rolled back")
    assert champion(name) == "1"


@pytest.mark.slow
def test_two_processes_promote_at_once(copy: Copy, server: str) -> None:
    name = "held-processes"
    copy(name, **RULES)
    both = [command("promote", name, PREFECT_API_URL=server) for _ in range(2)]
    said = sorted((finished(process) for process in both), key=lambda outcome: outcome.code)
    assert said[0].code == 0, said[0].both
    assert said[1].code == 1, said[1].both
    assert "a promotion is under way" in said[1].err or "no challenger waits" in said[1].err
    assert [e.event for e in read_history(name)] == ["promoted"]


HOLD = """
import sys, time
from flows import environment
environment.prepare()
from flows.temporary_server import prefect_server
with prefect_server():
    from flows.locks import promotion_lock
with promotion_lock({name!r}):
    print("held", flush=True)
    time.sleep(600)
"""


TWICE = """
import json, sys, time
from dataclasses import asdict
from tests.small import cli
name, free = sys.argv[1], float(sys.argv[2])
first = cli("promote", name)
time.sleep(max(0.0, free - time.time()))
print(json.dumps([asdict(first), asdict(cli("promote", name))]))
"""
"""Promotes before and after a time, with one temporary server for both, since each takes long to start."""


@pytest.mark.slow
def test_a_killed_promotion_blocks_the_next_one_only_for_its_lease(copy: Copy) -> None:
    """And until Prefect's server has seen that. Each process has a temporary one, as it is where none is set up."""
    name = "held-killed"
    copy(name, **RULES)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(name=name)], cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline().strip() == "held"
    process.send_signal(signal.SIGKILL)
    process.wait()
    looks = get_current_settings().server.services.repossessor.loop_seconds
    words = [sys.executable, "-c", TWICE, name, str(time.time() + locks.LEASE_SECONDS + looks + 2)]
    told = subprocess.run(words, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True)
    held, free = (Outcome(**outcome) for outcome in json.loads(told.stdout.splitlines()[-1]))
    plain(held, 1, "a promotion is under way", f"held by {whoami()}")
    assert free.code == 0, free.both
